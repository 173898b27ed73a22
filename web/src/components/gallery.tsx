import { useInterface } from "../i18n/i18n.js";

/** The package's examples, which the build puts beside the page. */
const EXAMPLES = [1, 2, 3, 4, 5, 6];

export function Gallery({
  bundled,
  onAddress,
}: {
  /** Whether the model is the one that these are drawn for. */
  readonly bundled: boolean;
  readonly onAddress: (address: string) => void;
}) {
  const { say } = useInterface();
  return (
    <section className="gallery" aria-labelledby="examples">
      <h2 id="examples">{say.examples}</h2>
      <ul>
        {EXAMPLES.map((n) => (
          <li key={n}>
            <button
              type="button"
              onClick={() => onAddress(new URL(`examples/scene-${n}.png`, document.baseURI).href)}
            >
              <img
                src={`examples/small/scene-${n}.webp`}
                alt={say.example(n)}
                width="160"
                height="160"
                decoding="async"
              />
            </button>
          </li>
        ))}
      </ul>
      {bundled && <p className="note">{say.bundledNote}</p>}
    </section>
  );
}
