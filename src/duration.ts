/** A time in the units that people would say it in: "40 s", "12 min", "3 h 5 min". */
export function duration(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return seconds >= 60 ? `${minutes} min` : `${Math.round(seconds)} s`;
}
