// What a page or a program does with an EventSource, told event by event to whoever tests it.
export function follow(EventSource, stream, report) {
  const source = new EventSource(stream);
  let told = Promise.resolve();
  const tell = (event) => {
    const body = JSON.stringify({ name: event.type, id: event.lastEventId, data: event.data });
    told = told.then(() => fetch(report, { method: "POST", mode: "no-cors", body }));
  };
  for (const name of ["status", "document", "end"]) source.addEventListener(name, tell);
  source.addEventListener("end", () => source.close());
}
