// Adds up Vitest's JSON report and the other checks: node .ci/summary.mjs REPORT TESTS_STATUS PASSED FAILED
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const [report, testsStatus, checksPassed, checksFailed] = process.argv.slice(2);
const count = { passed: Number(checksPassed), failed: Number(checksFailed), skipped: 0 };
const skipped = [];

const files = readReport(report);
for (const { name, status, assertionResults, message } of files) {
  const file = relative(process.cwd(), name);
  for (const { status, fullName } of assertionResults) {
    if (status === "passed") count.passed++;
    else if (status === "failed") count.failed++;
    else {
      count.skipped++;
      skipped.push(`${file}: ${fullName}`);
    }
  }
  // A file that could not be loaded, or whose preparation failed, has no failed test of its own.
  if (status === "failed" && !assertionResults.some((test) => test.status === "failed")) {
    count.failed++;
    console.log(`FAILED: ${file}${message ? `: ${message}` : ""}`);
  }
}
// What failed outside of tests: no report at all, an unhandled rejection, a failed build.
if (testsStatus !== "0" && !files.some(({ status }) => status === "failed")) {
  count.failed++;
  console.log(`FAILED: npm test ended with ${testsStatus}`);
}

if (skipped.length > 0) console.log(`\nSkipped:\n${skipped.map((test) => `  ${test}`).join("\n")}`);
console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exit(count.failed > 0 ? 1 : 0);

function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).testResults;
  } catch {
    return [];
  }
}
