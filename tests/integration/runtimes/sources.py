"""The same functions in each language, for the contract tests."""

PYTHON_MARKS = """
import asyncio, os, pathlib, time
MARKS = pathlib.Path(os.environ["MARKS"])
def mark(name): (MARKS / name).touch()
def wait(name):
    while not (MARKS / name).exists(): time.sleep(0.005)
async def wait_async(name):
    while not (MARKS / name).exists(): await asyncio.sleep(0.005)
"""

NODE_MARKS = """
const fs = require("fs"), path = require("path");
const file = (name) => path.join(process.env.MARKS, name);
const mark = (name) => fs.writeFileSync(file(name), "");
const wait = async (name) => {
  while (!fs.existsSync(file(name))) await new Promise((resolve) => setTimeout(resolve, 5));
};
"""

PYTHON = """
import sys
def echo(event, context):
    kind = type(event).__name__
    return {"kind": kind, "value": event.hex() if kind == "bytes" else event}
def whole(event, context): return event
def context(event, context):
    return {
        "name": context.function_name, "version": context.function_version,
        "id": context.aws_request_id,
        "memory": int(context.memory_limit_in_mb), "arn": context.invoked_function_arn,
        "group": context.log_group_name, "stream": context.log_stream_name,
        "remaining": context.get_remaining_time_in_millis(), "greeting": os.environ.get("GREETING"),
        "function": os.environ.get("PLAT_FUNCTION"), "cwd": os.getcwd(),
    }
def text(): return "héllo"
def data(): return b"\\x00\\xff"
def number(): return 5
def nothing(): return None
def wrong(): return {1, 2} if False else object()
def answer(event):
    return {"statusCode": 201, "headers": {"X-One": "1", "Content-Type": "text/html"},
            "cookies": ["a=1", "b=2"], "body": "AAH/", "isBase64Encoded": True}
def status(event): return {"statusCode": int(event["rawPath"][1:]), "body": "text"}
def evil(event): return {"statusCode": 200, "headers": {"x-a": "1\\r\\nx-b: 2"}}
class Trouble(Exception): pass
def fail(event): deeper()
def deeper(): raise Trouble("it broke")
def stream(event):
    yield "one"
    wait("go")
    yield "two"
def objects(event):
    yield {"n": 1}
    yield {"n": 2}
def headed(event):
    yield {"statusCode": 418, "headers": {"x-kind": "teapot"}, "cookies": ["c=3"]}
    yield "short and stout"
def empty(event):
    return
    yield
def early(event):
    raise Trouble("before the first")
    yield
def broken(event):
    yield "one"
    raise Trouble("in the middle")
async def busy(event):
    mark("started")
    await wait_async("go")
    return "done"
async def cancellable(event):
    mark("started")
    try: await asyncio.sleep(3600)
    finally:
        mark("cancelling")
        await wait_async("go")
        mark("ended")
async def endless(event):
    try:
        while True:
            yield "x" * 1000
            mark("started")
            await asyncio.sleep(0.001)
    finally: mark("ended")
def crash(event): os._exit(3)
"""

NODE = """
exports.echo = (event) => {
  const kind = event === null ? "NoneType" : Buffer.isBuffer(event) ? "bytes" : typeof event;
  const names = { string: "str", number: "int", object: Array.isArray(event) ? "list" : "dict" };
  return { kind: names[kind] ?? kind, value: kind === "bytes" ? event.toString("hex") : event };
};
exports.whole = async (event) => event;
exports.context = async (event, context) => ({
  name: context.functionName, version: context.functionVersion, id: context.awsRequestId,
  memory: Number(context.memoryLimitInMB), arn: context.invokedFunctionArn,
  group: context.logGroupName, stream: context.logStreamName,
  remaining: context.getRemainingTimeInMillis(), greeting: process.env.GREETING,
  function: process.env.PLAT_FUNCTION, cwd: process.cwd(),
});
exports.text = () => "héllo";
exports.data = async () => Buffer.from([0, 255]);
exports.number = () => 5;
exports.nothing = () => {};
exports.wrong = () => 10n;
exports.answer = async () => ({
  statusCode: 201, headers: { "X-One": "1", "Content-Type": "text/html" },
  cookies: ["a=1", "b=2"], body: "AAH/", isBase64Encoded: true,
});
exports.status = async (event) => ({ statusCode: Number(event.rawPath.slice(1)), body: "text" });
exports.evil = () => ({ statusCode: 200, headers: { "x-a": "1\\r\\nx-b: 2" } });
class Trouble extends Error { constructor(text) { super(text); this.name = "Trouble"; } }
exports.fail = async () => deeper();
const deeper = () => { throw new Trouble("it broke"); };
exports.stream = async function* () { yield "one"; await wait("go"); yield "two"; };
exports.objects = function* () { yield { n: 1 }; yield { n: 2 }; };
exports.headed = async function* () {
  yield { statusCode: 418, headers: { "x-kind": "teapot" }, cookies: ["c=3"] };
  yield "short and stout";
};
exports.empty = function* () {};
exports.early = async function* () { throw new Trouble("before the first"); };
exports.broken = async function* () { yield "one"; throw new Trouble("in the middle"); };
exports.busy = async () => { mark("started"); await wait("go"); return "done"; };
exports.cancellable = async (event, context) => {
  mark("started");
  await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
  mark("cancelling");
  await wait("go");
  mark("ended");
};
exports.endless = async function* () {
  try {
    for (;;) {
      yield "x".repeat(1000);
      mark("started");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  } finally { mark("ended"); }
};
exports.crash = async () => {
  setImmediate(() => { throw new Trouble("nobody catches this"); });
  await wait("go");
};
"""

FILES = {
    "python": {"main.py": PYTHON_MARKS + PYTHON},
    "node": {"main.js": NODE_MARKS + NODE},
}

BROKEN = {
    "python": {
        "missing_import.py": "import nowhere_to_be_found\ndef handler(): pass\n",
        "raises.py": "def boom():\n    raise RuntimeError('at import')\nboom()\n",
        "leaves.py": "import sys\nsys.exit(4)\n",
        "syntax.py": "def handler(event):\n    return 1\noops = = 2\n",
        "imports_syntax.py": "import syntax\n",
        "plain.py": "value = 5\ndef handler_one(event): pass\ndef wide(a, b, c): pass\n",
        "queue.py": "def handler(event): pass\n",
    },
    "node": {
        "missing_import.js": "require('nowhere-to-be-found');\nexports.handler = () => {};\n",
        "raises.js": "function boom() {\n  throw new RangeError('at import');\n}\nboom();\n",
        "syntax.js": "exports.handler = () => {\n  return 1;\n};\nconst oops = = 2;\n",
        "syntax_module.mjs": "export const handler = () => {};\nconst oops = = 2;\n",
        "imports_syntax.js": "require('./syntax.js');\n",
        "plain.js": "exports.value = 5;\nexports.handler_one = () => {};\n",
    },
}

SLOW_IMPORT = {
    "python": {"main.py": PYTHON_MARKS + 'mark("importing")\nwait("go")\ndef handler(): return "loaded"\n'},
    "node": {
        "main.mjs": 'import { createRequire } from "node:module";\n'
        + "const require = createRequire(import.meta.url);\n"
        + NODE_MARKS
        + 'mark("importing");\nawait wait("go");\n'
        + 'export const handler = () => "loaded";\n'
    },
}
