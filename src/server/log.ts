/** A line of JSON an event on stderr. No contents of pictures, no URLs of theirs, no keys, no addresses of clients. */
export type Log = (event: string, fields?: Readonly<Record<string, unknown>>) => void;

export function jsonLog(out: NodeJS.WritableStream = process.stderr): Log {
  return (event, fields = {}) => {
    out.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`);
  };
}
