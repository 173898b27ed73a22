/** What was just done, for a moment. */
export function Notes({ note }: { readonly note: string }) {
  return (
    <p className="toast" role="status" data-shown={note !== ""}>
      {note}
    </p>
  );
}
