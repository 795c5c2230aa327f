// Runs Perfetto's trace processor, the WebAssembly of its web page, in Node.
//
//     node perfetto_engine.mjs FOLDER < requests > replies
//
// FOLDER holds engine_bundle.js and trace_processor*.wasm. Both streams are TraceProcessorRpcStream messages. The
// bundle expects to be a worker of a page: it reads files with XMLHttpRequest, and takes a port at which it is asked.

import { readFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import vm from "node:vm";

const folder = process.argv[2];

process.type = "renderer"; // otherwise it sees Node, for which it was not built
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = Object;
globalThis.location = { href: "engine_bundle.js" };
globalThis.XMLHttpRequest = class {
  open(_method, name) {
    this.file = join(folder, basename(name));
  }
  send() {
    this.response = new Uint8Array(readFileSync(this.file)).buffer;
    this.status = 200;
  }
};

function write(bytes) {
  for (let sent = 0; sent < bytes.length; ) sent += writeSync(1, bytes, sent);
}

const requests = new Uint8Array(readFileSync(0));
vm.runInThisContext(readFileSync(join(folder, "engine_bundle.js"), "utf8"));
const port = { postMessage: write };
globalThis.onmessage({ data: port });
// The module's start is settled in microtasks that come before this timer.
setTimeout(() => port.onmessage({ data: requests }), 0);
