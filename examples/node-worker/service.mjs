// The calls of TaskService that a worker makes, as promises, each with the key and a deadline.

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const CALL_MS = 60_000;
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

export function connect({ address, apiKey, protos }) {
  const definition = loadSync("millstream/v1/tasks.proto", {
    includeDirs: [protos],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  const { TaskService } = grpc.loadPackageDefinition(definition).millstream.v1;
  // Behind TLS: grpc.credentials.createSsl().
  const client = new TaskService(address, grpc.credentials.createInsecure(), {
    "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
    "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
    "grpc.keepalive_time_ms": 30_000,
  });

  const metadata = () => {
    const shown = new grpc.Metadata();
    if (apiKey) shown.set("authorization", `Bearer ${apiKey}`);
    return shown;
  };
  const unary = (name) => (request) =>
    new Promise((resolve, reject) => {
      client[name](request, metadata(), { deadline: Date.now() + CALL_MS }, (error, answer) =>
        error ? reject(error) : resolve(answer),
      );
    });

  return {
    poll: (request) => client.PollSteps(request, metadata()),
    async source(lease) {
      const pieces = [];
      for await (const piece of client.ReadSource({ lease }, metadata(), { deadline: Date.now() + CALL_MS })) {
        pieces.push(piece.data);
      }
      return Buffer.concat(pieces);
    },
    report: unary("ReportProgress"),
    complete: unary("CompleteStep"),
    fail: unary("FailStep"),
    close: () => client.close(),
  };
}

/** The stable code of a refusal, such as lease_lost: programs branch on it. */
export function codeOf(error) {
  return error.metadata?.get("millstream-code")[0] ?? "";
}

/** Whether the same call may work in a moment. */
export function isOutage(error) {
  return [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED, grpc.status.RESOURCE_EXHAUSTED].includes(error.code);
}
