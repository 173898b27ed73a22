/** A caption that is still being written: words that come in are faded in. */
export function GrowingText({ text }: { readonly text: string }) {
  return (
    <p className="caption-text is-growing">
      {text.split(/(?<=\s)/).map((word, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a word is its place in the caption
        <span key={`${i} ${word}`}>{word}</span>
      ))}
    </p>
  );
}
