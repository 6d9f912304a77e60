// Sends an image to a running service and writes the result.
//
//     node compress.js IN OUT [--address HOST:PORT] [--quality N] [--effort fast|balanced|best]
//
// The client is built from the proto file at run time, without generated code.

import fs from "node:fs";
import { parseArgs } from "node:util";
import { once } from "node:events";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTO = new URL("../../proto/compressor/v1/compressor.proto", import.meta.url).pathname;
const CHUNK_BYTES = 256 * 1024;

const { values: options, positionals: [source, target] } = parseArgs({
  allowPositionals: true,
  options: {
    address: { type: "string", default: "127.0.0.1:50051" },
    quality: { type: "string" },
    effort: { type: "string" },
  },
});
if (!source || !target) {
  console.error("usage: node compress.js IN OUT [--address HOST:PORT] [--quality N] [--effort fast|balanced|best]");
  process.exit(2);
}

const definition = protoLoader.loadSync(PROTO, { longs: Number, enums: String, defaults: true, oneofs: true });
const { CompressorService } = grpc.loadPackageDefinition(definition).compressor.v1;
const client = new CompressorService(options.address, grpc.credentials.createInsecure());

// Upload: settings, chunks, finish. A service without free memory stops reading; `write` then returns false.
async function upload(call) {
  const send = async (part) => call.write(part) || (await once(call, "drain"));
  const settings = {};
  if (options.quality) settings.quality = Number(options.quality);
  if (options.effort) settings.effort = `EFFORT_${options.effort.toUpperCase()}`;
  await send({ settings });
  let total = 0;
  for await (const chunk of fs.createReadStream(source, { highWaterMark: CHUNK_BYTES })) {
    total += chunk.length;
    await send({ chunk });
  }
  call.write({ finish: { totalBytes: total } });
  call.end();
}

// Download: source, chunks, report; or a failure, in band, because the status may be lost while we still write.
async function download(call, file) {
  for await (const response of call) {
    if (response.part === "failure") throw new Error(response.failure.message);
    if (response.part === "chunk") await file.write(response.chunk);
    if (response.part === "report") return response.report;
  }
  throw new Error("the response ended without a report");
}

const temporary = `${target}.part`; // renamed when it is complete
try {
  const call = client.Compress();
  const file = await fs.promises.open(temporary, "w");
  const [sent, received] = await Promise.allSettled([
    upload(call).catch((error) => { call.cancel(); throw error; }),
    download(call, file),
  ]);
  if (sent.reason?.syscall) throw sent.reason; // the source can't be read; all other errors are in the response
  if (received.reason) throw received.reason;
  const report = received.value;
  await file.close();
  if ((await fs.promises.stat(temporary)).size !== report.bytesOut) throw new Error("the response is not complete");
  await fs.promises.rename(temporary, target);
  const saved = 100 * (1 - report.bytesOut / report.bytesIn);
  console.log(`${source}: ${report.bytesIn} -> ${report.bytesOut} bytes, ${saved.toFixed(1)} % saved`);
  for (const notice of report.notices) console.log(`  ${notice}`);
} catch (error) {
  console.error(`compress.js: ${error.details || error.message}`);
  process.exitCode = 1;
} finally {
  await fs.promises.rm(temporary, { force: true });
  client.close();
}
