// Gets tokens and role credentials through the AWS SDK for JavaScript v3, as the lines of JSON on standard input ask.
// The argument is the folder that has `node_modules`.

const { createRequire } = require("node:module");
const readline = require("node:readline");

const installed = createRequire(`${process.argv[2]}/`);
const { fromSso } = installed("@aws-sdk/token-providers");
const { fromSSO } = installed("@aws-sdk/credential-provider-sso");

async function answer({ want, profile, delay = 0 }) {
  await new Promise((resolve) => setTimeout(resolve, delay * 1000));
  if (want === "token") return { token: (await fromSso({ profile })()).token };
  return { accessKeyId: (await fromSSO({ profile })()).accessKeyId };
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    // Whatever a tool's user would see.
    const told = await answer(JSON.parse(line)).catch((error) => ({ error: `${error.name}: ${error.message}` }));
    console.log(JSON.stringify(told));
  }
}

main();
