// Uploads a file with tus-js-client and says what became of it: node upload.mjs ENDPOINT FILE METADATA OPTIONS
import { readFileSync } from "node:fs";
import { Upload } from "tus-js-client";

const [endpoint, file, metadata, options] = process.argv.slice(2);
let retries = 0;
const upload = new Upload(readFileSync(file), {
  endpoint,
  metadata: JSON.parse(metadata),
  retryDelays: Array(40).fill(5),
  ...JSON.parse(options),
  onShouldRetry(error) {
    retries += 1;
    const status = error.originalResponse ? error.originalResponse.getStatus() : 0;
    return status < 400 || status >= 500 || status === 409 || status === 423;
  },
  onError(error) {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess({ lastResponse }) {
    const task = lastResponse.getHeader("Millstream-Task-Id");
    console.log(JSON.stringify({ url: upload.url, task, retries }));
  },
});
upload.start();
