"""OpenVINO GenAI behind a pipe: one JSON request a line in, one JSON answer a line out.

    {"prompts": ["…"], "max_new_tokens": 1}
    →  {"first": [s], "last": [s], "tokens": [n], "prompt": [n]}

`first` and `last` are seconds from the request to each prompt's first and last token; all prompts
are begun at once. Prompts are rendered already. Started by compare.py with the Python of
.peers/openvino.

usage: openvino_worker.py MODEL THREADS CACHE_GB
"""
import json
import sys
import time

import openvino_genai


def main():
    model, threads, cache_gb = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    scheduling = openvino_genai.SchedulerConfig()
    scheduling.enable_prefix_caching = True
    scheduling.cache_size = cache_gb
    pipeline = openvino_genai.ContinuousBatchingPipeline(
        model, scheduling, "CPU", {"INFERENCE_NUM_THREADS": threads})
    tokenizer = pipeline.get_tokenizer()
    numbers = iter(range(1 << 62))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        generation = openvino_genai.GenerationConfig()
        generation.max_new_tokens = request["max_new_tokens"]
        generation.ignore_eos = True
        generation.do_sample = False
        generation.apply_chat_template = False
        reply = answer(pipeline, request["prompts"], generation, numbers)
        reply["prompt"] = [length(tokenizer, prompt) for prompt in request["prompts"]]
        print(json.dumps(reply), flush=True)


def length(tokenizer, prompt):
    return tokenizer.encode(prompt, add_special_tokens=False).input_ids.shape[1]


def answer(pipeline, prompts, generation, numbers):
    count = len(prompts)
    first, last, tokens = [None] * count, [None] * count, [0] * count
    begin = time.perf_counter()
    handles = [pipeline.add_request(next(numbers), prompt, generation) for prompt in prompts]
    while pipeline.has_non_finished_requests():
        pipeline.step()
        now = time.perf_counter() - begin
        for i, handle in enumerate(handles):
            while handle.can_read():
                tokens[i] += sum(len(output.generated_ids) for output in handle.read().values())
                first[i] = first[i] or now
                last[i] = now
    return {"first": first, "last": last, "tokens": tokens}


if __name__ == "__main__":
    main()
