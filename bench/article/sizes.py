"""How much is measured: in full, and with --quick. The same steps, fewer and shorter."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Sizes:
    lengths: tuple            # prompt tokens
    runs: int                 # of each length
    resend_documents: int     # each sent once, then resent at once
    resends: int              # of each document
    conversations: int        # under pressure and pauses
    conversation_tokens: int  # of each one's own system text
    turns: int                # of each conversation
    stranger_tokens: int      # of the one-off prompt between two turns
    pressure_tokens: int      # that the cache can hold
    parameter_runs: int
    lifetime_trials: int
    lifetimes: tuple          # of marks, with a clock to move
    blind_pauses_s: tuple     # real ones, of servers whose lifetime is not known
    workload_requests: int
    cold_requests: int        # of a workload, asked again without a cache, spread over it
    rag_documents: int
    policy_characters: int
    long_document_tokens: int
    agent_tokens: int         # that the agent's prompts may fill
    chat_system_tokens: int
    reply_tokens: int
    varied_replies: int
    greedy_prompts: int
    short_tokens: int         # of prompts whose length does not matter
    restarts: int             # of each server
    restart_tokens: int       # of the document


FULL = Sizes(
    lengths=(128, 256, 512, 1024, 2048, 3072, 4200, 5500, 7000), runs=10,
    resend_documents=10, resends=10,
    conversations=8, conversation_tokens=800, turns=4, stranger_tokens=1100, pressure_tokens=12_288,
    parameter_runs=3, lifetime_trials=5, lifetimes=("5m", "1h"), blind_pauses_s=(1, 5, 15, 30),
    workload_requests=20, cold_requests=8, rag_documents=4, policy_characters=8_000,
    long_document_tokens=4500, agent_tokens=6500, chat_system_tokens=600, reply_tokens=32,
    varied_replies=10, greedy_prompts=8,
    short_tokens=1100,
    restarts=5, restart_tokens=3_700)

QUICK = Sizes(
    lengths=(128, 512, 1200), runs=2,
    resend_documents=2, resends=3,
    conversations=4, conversation_tokens=250, turns=3, stranger_tokens=300, pressure_tokens=2_560,
    parameter_runs=1, lifetime_trials=1, lifetimes=("5m",), blind_pauses_s=(0.5, 1),
    workload_requests=4, cold_requests=2, rag_documents=2, policy_characters=1_500,
    long_document_tokens=600, agent_tokens=2200, chat_system_tokens=200, reply_tokens=8,
    varied_replies=3, greedy_prompts=2,
    short_tokens=300,
    restarts=1, restart_tokens=700)
