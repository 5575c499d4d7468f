// Verifies a message that comes as JSON on standard input: {secret, body, headers}. Prints what it says.
import { Webhook } from "standardwebhooks";

const pieces = [];
for await (const piece of process.stdin) pieces.push(piece);
const { secret, body, headers } = JSON.parse(Buffer.concat(pieces).toString("utf8"));
console.log(JSON.stringify(new Webhook(secret).verify(body, headers)));
