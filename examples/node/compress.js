// Sends an image to a running service and writes the result.
//
//     node compress.js IN OUT [--address HOST:PORT] [--quality N] [--effort fast|balanced|best]
//
// The client is built from the proto file at run time, without generated code. The folder can be copied elsewhere: it has
// a copy of the proto file.

import fs from "node:fs";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTO = fileURLToPath(new URL("compressor.proto", import.meta.url));
const CHUNK_BYTES = 256 * 1024;
const EFFORTS = ["fast", "balanced", "best"];
const USAGE = "usage: node compress.js IN OUT [--address HOST:PORT] [--quality N] [--effort fast|balanced|best]";

function parsed() {
  const text = { type: "string" };
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { address: { ...text, default: "127.0.0.1:50051" }, quality: text, effort: text },
    });
    const { quality, effort } = values;
    if (quality !== undefined && !/^([1-9]\d?|100)$/.test(quality)) throw new Error("--quality is a whole number from 1 to 100");
    if (effort !== undefined && !EFFORTS.includes(effort)) throw new Error(`--effort is one of ${EFFORTS.join(", ")}`);
    if (positionals.length === 2) return { ...values, source: positionals[0], target: positionals[1] };
    console.error(USAGE);
  } catch (error) {
    console.error(`compress.js: ${error.message}\n${USAGE}`);
  }
  process.exit(2);
}

// Upload: settings, chunks, finish. A service without free memory stops reading; `write` then returns false.
async function upload(call, options, ended) {
  const send = async (part) => call.write(part) || (await once(call, "drain", { signal: ended }));
  const settings = {};
  if (options.quality) settings.quality = Number(options.quality);
  if (options.effort) settings.effort = `EFFORT_${options.effort.toUpperCase()}`;
  await send({ settings });
  let total = 0;
  for await (const chunk of fs.createReadStream(options.source, { highWaterMark: CHUNK_BYTES, signal: ended })) {
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
    if (response.part === "chunk") await file.writeFile(response.chunk);
    if (response.part === "report") return response.report;
  }
  throw new Error("the response ended without a report");
}

// Both at the same time. The one that fails ends the other.
async function transfer(call, options, file) {
  const ended = new AbortController();
  const [sent, received] = await Promise.allSettled([
    upload(call, options, ended.signal).catch((error) => {
      if (!error.syscall) return; // anything but a source that can't be read is an error of the download, too
      call.cancel();
      throw error;
    }),
    download(call, file).finally(() => ended.abort()),
  ]);
  if (sent.reason) throw sent.reason;
  if (received.reason) throw received.reason;
  const report = received.value;
  if ((await file.stat()).size !== report.bytesOut) throw new Error("the response is not complete");
  return report;
}

function line(error, address) {
  if (error.code !== grpc.status.UNAVAILABLE || !/connect|resolution/i.test(error.details)) return error.details || error.message;
  return `no service at ${address}: start one with \`compressor serve\`, or give --address (${error.details})`;
}

const options = parsed();
const definition = protoLoader.loadSync(PROTO, { longs: Number, enums: String, defaults: true, oneofs: true });
const { CompressorService } = grpc.loadPackageDefinition(definition).compressor.v1;
const client = new CompressorService(options.address, grpc.credentials.createInsecure());
const temporary = `${options.target}.${process.pid}.part`; // renamed when it is complete
const clean = () => fs.rmSync(temporary, { force: true });
for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15]]) {
  process.on(signal, () => { clean(); process.exit(128 + number); });
}

let call, file;
try {
  await fs.promises.access(options.source, fs.constants.R_OK); // before anything is created
  file = await fs.promises.open(temporary, "wx");
  call = client.Compress();
  const report = await transfer(call, options, file);
  await file.close();
  await fs.promises.rename(temporary, options.target);
  const saved = 100 * (1 - report.bytesOut / report.bytesIn);
  console.log(`${options.source}: ${report.bytesIn} -> ${report.bytesOut} bytes, ${saved.toFixed(1)} % saved`);
  for (const notice of report.notices) console.log(`  ${notice}`);
} catch (error) {
  console.error(`compress.js: ${line(error, options.address)}`.replaceAll("\n", " "));
  process.exitCode = 1;
  call?.cancel();
  await file?.close().catch(() => {});
  clean();
} finally {
  client.close();
}
