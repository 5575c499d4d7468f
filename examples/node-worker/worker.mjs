// A worker: takes deliveries, renews their leases while it is at them, answers, and leaves in order.

import { embed } from "./embed.mjs";
import { parse, Unreadable } from "./parse.mjs";
import { codeOf, connect, isOutage } from "./service.mjs";
import { log, settings } from "./settings.mjs";

const RENEWALS_A_LEASE = 3;
const TRIES_MAX = 5;
const RECONNECT_MS = [500, 10_000];

const service = connect(settings);
const inHand = new Set();
let polling = null;
let isStopping = false;

/** Polls until told to stop; a service that is away is asked again, at longer and longer intervals. */
async function run() {
  let pauseMs = RECONNECT_MS[0];
  while (!isStopping) {
    try {
      await poll(() => (pauseMs = RECONNECT_MS[0]));
    } catch (error) {
      if (isStopping) break;
      if (!isOutage(error)) throw error;
      log("service_away", { code: codeOf(error), detail: error.details, again_ms: pauseMs });
      await pause(pauseMs);
      pauseMs = Math.min(pauseMs * 2, RECONNECT_MS[1]);
    }
  }
  await Promise.all(inHand);
}

async function poll(onDelivery) {
  const steps = settings.steps.map((step) => `STEP_${step.toUpperCase()}`);
  polling = service.poll({ steps, slots: settings.slots, worker: settings.worker });
  log("polling", { address: settings.address, steps: settings.steps });
  for await (const delivery of polling) {
    onDelivery();
    const working = handle(delivery).finally(() => inHand.delete(working));
    inHand.add(working);
  }
}

async function handle(delivery) {
  const about = { document: delivery.document_id, step: delivery.work, attempt: delivery.attempt };
  log("leased", about);
  const lost = new AbortController();
  const renewing = setInterval(() => renew(delivery.lease, lost), leaseMs(delivery) / RENEWALS_A_LEASE);
  try {
    const result = await resultOf(delivery, lost.signal);
    await answer(() => service.complete({ lease: delivery.lease, ...result }));
    log("completed", about);
  } catch (error) {
    await tellOf(error, delivery, about);
  } finally {
    clearInterval(renewing);
  }
}

async function resultOf(delivery, signal) {
  if (delivery.work === "embed") return { vectors: await embed(delivery.embed, signal) };
  return { parsed: parse(await service.source(delivery.lease), delivery.parse) };
}

/** What became of work that has no result. Whoever was overtaken says nothing: another one is at it. */
async function tellOf(error, delivery, about) {
  const code = error.name === "AbortError" ? "lease_lost" : codeOf(error);
  if (code) {
    log(code, { ...about, detail: error.details ?? "" });
    return;
  }
  const isFinal = error instanceof Unreadable;
  const failure = { code: isFinal ? error.code : "worker_failed", message: error.message, is_final: isFinal };
  log("failed", { ...about, ...failure });
  try {
    await answer(() => service.fail({ lease: delivery.lease, ...failure }));
  } catch (refused) {
    log(codeOf(refused) || "unanswered", { ...about, detail: refused.details });
  }
}

/** An answer may be repeated: the service recognises the lease and says the same again. */
async function answer(call) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call();
    } catch (error) {
      if (!isOutage(error) || tries === TRIES_MAX) throw error;
      await pause(200 * 2 ** tries);
    }
  }
}

async function renew(lease, lost) {
  try {
    await service.report({ lease });
  } catch (error) {
    if (codeOf(error) === "lease_lost") lost.abort();
  }
}

function leaseMs({ lease_duration: duration }) {
  return duration.seconds * 1_000 + duration.nanos / 1e6;
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    isStopping = true;
    polling?.cancel();
  });
}

try {
  await run();
  log("stopped");
} catch (error) {
  log("refused", { code: codeOf(error), detail: error.details ?? error.message });
  process.exitCode = 1;
} finally {
  service.close();
}
