// What "Try it" begins with: a text so long that computing it takes a while, and a question about it.

export const kSystem = "You answer questions about the text below, in one or two short sentences.";

export const kQuestion = "Who keeps the lamp burning in the lighthouse?";

export const kDocument = [
  "The lighthouse of Northfell stands on a rock half a mile off the coast, and on most days of " +
    "the year nobody can reach it.",
  "It was built in 1871, after three ships were lost in one winter. The builders brought the " +
    "stones by barge, cut and numbered on the mainland, so that no mason had to work on the wet " +
    "rock for longer than a tide. The tower has nine floors, a hundred and forty-one steps, and " +
    "walls that are two metres thick at the foot and sixty centimetres under the lamp. The lamp " +
    "itself came from a glassworks in the south, in eleven crates; one lens was cracked on the " +
    "way, was turned towards the land, and is there still.",
  "Ada Brandt has kept the lamp since the spring of 1998. Her father kept it before her, and " +
    "taught her to read the weather from the colour of the water. The light was made to work by " +
    "itself in 2004, and since then no keeper is needed, but the harbour office found that a " +
    "person notices what an instrument does not: a boat that comes home too slowly, a fire on the " +
    "beach, a buoy that has moved. So she stayed, and writes one page a day into the book on the " +
    "third floor. The book of today is the sixty-second.",
  "Supplies come on the first Tuesday of the month: flour, oil, coffee, batteries, letters, and " +
    "a new book when one is asked for. If the sea is too high, the boat tries again on Thursday, " +
    "and then not until the next month. The cellar therefore holds food for ten weeks. Water is " +
    "collected from the roof of the gallery, led through sand, and kept in two tanks, of which " +
    "one is always full.",
  "Visitors are allowed on the last Sunday of June, when the tide is lowest. They walk out over " +
    "the sandbank behind a guide, climb the steps in groups of eight, and must turn back when the " +
    "bell is rung, two hours before the water returns. Nobody has been left behind so far, except " +
    "a dog in 2011, who stayed for the summer and did not want to go home.",
  "At night the light turns once in twenty seconds and can be seen from nineteen miles. Sailors " +
    "say that it looks white from the west and a little yellow from the east, where the cracked " +
    "lens is, and that this is how they know on which side of the rock they are.",
].join("\n\n");

// Words that take each other's place when one is changed.
const kWords = ["lighthouse", "tower", "beacon", "lantern", "island", "station"];

// `text` with its second word changed, or its only one: {text, from, to}.
export function changeStart(text) {
  const found = /^(\s*\S+\s+|\s*)([\p{L}\p{N}]+)/u.exec(text);
  return changed(text, found ? found[1].length : 0, found ? found[2] : "");
}

// `text` with its last word changed; signs behind it stay.
export function changeEnd(text) {
  const found = /([\p{L}\p{N}]+)[^\p{L}\p{N}]*$/u.exec(text);
  return changed(text, found ? found.index : text.length, found ? found[1] : "");
}

function changed(text, begin, from) {
  const to = kWords[(kWords.indexOf(from) + 1) % kWords.length];
  return { text: text.slice(0, begin) + to + text.slice(begin + from.length), from, to };
}
