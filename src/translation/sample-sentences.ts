/** Captions of our own, on which the errors of int8 weights are measured: of all lengths, with names, numbers and marks. */
export const SAMPLE_SENTENCES: readonly string[] = [
  "a brown dog runs over a wet meadow",
  "Two children are building a sandcastle while their mother reads a book under a red umbrella.",
  "A man in a dark suit is speaking into a microphone.",
  "vintage poster of a steam train in the mountains, 1923",
  "The old bridge of the town at night, lit by lanterns",
  "Close-up of fresh strawberries in a wooden bowl on a kitchen table",
  "Tom and Anna at the opening of the exhibition in Vienna",
  "how to paint a wall: step 3 of 7",
  "A cyclist in a yellow jersey leads the race by 20 seconds; behind him, three others try to catch up.",
  "seamless pattern with flowers, leaves and small birds on a white background",
  "football player celebrates after scoring the second goal during the match",
  "An elderly woman is selling vegetables, eggs and honey at a market stall.",
  "This is the house that my grandfather built with his own hands when he was young!",
  "blue sky",
  "Passengers wait on the platform as a train arrives at the crowded station on a rainy morning in November.",
  "interior design of a small living room with a grey sofa, two lamps and a large window",
];
