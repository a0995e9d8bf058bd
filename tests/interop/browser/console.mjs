// Visits the console in Chromium as people do. Its one argument says, as JSON:
//   modules   where playwright-core, axe-core and html-validate are
//   chromium  the browser
//   url       where the console is
//   link      a link that signs in once
//   shots     a folder for pictures
//   pages     the pages to look at: name, path, and a text that has to be there
//   task      what to do: see below
// Prints what it found as JSON: { problems: [...], ... }. Pictures are for looking at.
import { createRequire } from "node:module";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const settings = JSON.parse(process.argv[2]);
const require = createRequire(settings.modules + "/");
const { chromium } = require("playwright-core");

const problems = [];
const found = {};
const profile = mkdtempSync(join(tmpdir(), "browser-"));

const opened = [];
const launch = async (more = {}) => {
  const context = await start(more);
  opened.push(context);
  return context;
};
const start = (more) => chromium.launchPersistentContext(mkdtempSync(join(profile, "p-")), {
  executablePath: settings.chromium,
  headless: true,
  viewport: { width: 1280, height: 900 },
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
  ...more,
});

// What a page must never do, whatever is on it.
const watch = (page, where) => {
  page.on("console", (message) => {
    if (message.type() === "error" && !/401|status of 4/.test(message.text())) problems.push(`${where()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${where()}: ${error}`));
  page.on("request", (request) => {
    const to = new URL(request.url());
    if (to.protocol !== "data:" && to.origin !== new URL(settings.url).origin) problems.push(`${where()}: asks ${to.origin}`);
  });
  page.on("dialog", (dialog) => { problems.push(`${where()}: a dialog: ${dialog.message()}`); dialog.dismiss(); });
};

const signIn = async (page) => {
  await page.goto(settings.link);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => url.pathname !== "/login");
};

const open = async (page, path) => {
  const response = await page.goto(settings.url + path, { waitUntil: "load" });
  return response;
};

// Looks at these pages in each width and colour, tells which one it is at, and asks axe and the validator.
const look = async (context, page, pages, now) => {
  const { HtmlValidate } = require("html-validate");
  const validator = new HtmlValidate({
    extends: ["html-validate:standard"],
    // Style of writing, which browsers do not care for.
    rules: { "void-style": "off", "no-trailing-whitespace": "off", "doctype-style": "off", "attribute-boolean-style": "off", "long-title": "off", "no-implicit-button-type": "off", "no-raw-characters": "off", "prefer-native-element": "off", "tel-non-breaking": "off", "no-implicit-input-type": "off" },
  });
  for (const { name, path, text } of pages) {
    for (const theme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: theme });
      for (const width of [1280, 1920, 390, 320]) {
        const at = `${name} ${theme} ${width}`;
        now(at);
        await page.setViewportSize({ width, height: 900 });
        const response = await open(page, path);
        if (response.status() >= 500) problems.push(`${at}: ${response.status()}`);
        const shown = await page.locator("body").innerText();
        if (text && !shown.toLowerCase().includes(text.toLowerCase())) problems.push(`${at}: \`${text}\` is not there`);
        const over = await page.evaluate(() => document.scrollingElement.scrollWidth - window.innerWidth);
        if (over > 0) problems.push(`${at}: wider than the window by ${over}`);
        if (settings.hostile && (await page.title()).includes(settings.hostile)) problems.push(`${at}: what a stranger wrote runs`);
        await page.screenshot({ path: join(settings.shots, `${name}-${theme}-${width}.png`), fullPage: true });
        if (width === 1280) {
          // Evaluated by the browser's tools, which no policy of the page concerns.
          await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
          const seen = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
          for (const one of seen.violations) {
            const where = one.nodes.slice(0, 2).map((node) => node.html).join(" ");
            if (one.impact !== "minor") problems.push(`${at}: ${one.id}: ${one.help}: ${where}`);
          }
        }
      }
    }
    const html = await (await context.request.get(settings.url + path)).text();
    const report = await validator.validateString(html);
    for (const result of report.results) for (const message of result.messages) {
      problems.push(`${name}: line ${message.line}: ${message.ruleId}: ${message.message}`);
    }
  }
};

const tasks = {
  // Each page in each width and colour; what axe and the validator say; what a first visit weighs.
  async pages() {
    const context = await launch();
    const page = await context.newPage();
    let at = "sign-in";
    watch(page, () => at);
    let octets = 0;
    page.on("response", async (response) => {
      const sizes = await response.request().sizes().catch(() => null);
      if (sizes) octets += sizes.responseBodySize + sizes.responseHeadersSize;
    });
    await signIn(page);
    found.first_visit_octets = octets;
    await look(context, page, settings.pages, (name) => { at = name; });
  },

  // The same pages without script: everything is there.
  async without_script() {
    const context = await launch({ javaScriptEnabled: false });
    const page = await context.newPage();
    let at = "sign-in";
    watch(page, () => at);
    await signIn(page);
    for (const { name, path, text } of settings.pages) {
      at = name;
      await open(page, path);
      const shown = await page.locator("body").innerText();
      if (text && !shown.toLowerCase().includes(text.toLowerCase())) problems.push(`${at}: \`${text}\` is not there`);
    }
    // The look is remembered.
    await page.locator("summary").first().click();
    await page.getByRole("button", { name: "dark" }).click();
    const theme = await page.locator("html").getAttribute("data-theme");
    if (theme !== "dark") problems.push(`the look is ${theme}`);
  },

  // By keys alone: from the overview to a message and back to the queue.
  async keys() {
    const context = await launch();
    const page = await context.newPage();
    watch(page, () => "keys");
    await page.goto(settings.link);
    // A browser chooses it when it first draws the page, which is after it has loaded.
    await page.locator("[autofocus]:focus").waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.pathname === "/");
    await page.keyboard.press("g");
    await page.keyboard.press("t");
    await page.waitForURL((url) => url.pathname === "/tracking");
    await page.keyboard.press("/");
    await page.keyboard.type("state:refused");
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.searchParams.get("filter") === "state:refused");
    await page.keyboard.press("Escape");
    await page.keyboard.press("g");
    await page.keyboard.press("q");
    await page.waitForURL((url) => url.pathname === "/queues");
    await page.keyboard.press("j");
    const chosen = await page.locator("tr.chosen").count();
    if (chosen !== 1) problems.push(`${chosen} rows are chosen`);
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.pathname.startsWith("/message/"));
    await page.keyboard.press("?");
    await page.waitForURL((url) => url.pathname === "/help");
    // Every link and button of a page can be reached, and it is seen where one is.
    await page.keyboard.press("g");
    await page.keyboard.press("o");
    await page.waitForURL((url) => url.pathname === "/");
    const many = await page.locator("a[href]:visible, button:visible, summary:visible, input:visible").count();
    const reached = new Set();
    for (let step = 0; step < many + 5; step += 1) {
      await page.keyboard.press("Tab");
      const one = await page.evaluate(() => {
        const at = document.activeElement;
        if (!at || at === document.body) return null;
        const outline = getComputedStyle(at).outlineStyle;
        return { name: at.outerHTML.slice(0, 120), outline };
      });
      if (!one) break;
      if (one.outline === "none") problems.push(`no ring around ${one.name}`);
      reached.add(one.name);
    }
    found.reached = reached.size;
  },

  // A page changes by itself when something happens; the caller makes it happen after "ready".
  async live() {
    const context = await launch();
    const page = await context.newPage();
    watch(page, () => "live");
    await signIn(page);
    await open(page, settings.live.path);
    await page.waitForFunction(() => document.getElementById("live").dataset.state === "live");
    process.stdout.write("ready\n");
    await page.getByText(settings.live.text).first().waitFor({ timeout: 30000 });
  },

  // Pictures for the documentation: name, path, and what to click first.
  async pictures() {
    const context = await launch({ viewport: { width: 1060, height: 680 } });
    const page = await context.newPage();
    watch(page, () => "pictures");
    await signIn(page);
    for (const { name, path, click } of settings.pictures) {
      await open(page, path);
      if (click) {
        await page.locator("main tbody a").filter({ hasText: click }).first().click();
        await page.waitForLoadState();
      }
      await page.screenshot({ path: join(settings.shots, `${name}.png`) });
    }
  },

  // Comes in by an issuer, to the page that was asked for; and again, where the issuer still knows him.
  async issuer() {
    const context = await launch({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    const enter = async () => {
      await page.goto(`${settings.url}/queues`);
      await page.getByRole("link", { name: "Sign in by" }).click();
    };
    await look(context, page, [{ name: "sign-in-issuer", path: "/login?next=%2Fqueues", text: "Sign in by" }], () => {});
    await page.setViewportSize({ width: 1280, height: 900 });
    await enter();
    await page.waitForURL((url) => url.origin === settings.issuer);
    await page.locator('[name="login"]').fill(settings.login);
    await page.getByRole("button", { name: "Go" }).click();
    for (const again of [false, true]) {
      await page.waitForURL(`${settings.url}/queues`, { timeout: 20000 });
      await page.getByText(`${settings.login}@corp.test`).first().waitFor();
      if (again) break;
      await page.locator("summary").first().click();
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.waitForURL((url) => url.pathname === "/login");
      await enter();
    }
    const kept = (await context.cookies(settings.url)).map(({ name, sameSite }) => `${name} ${sameSite}`);
    if (kept.join() !== "gatepost Strict") problems.push(`cookies: ${kept.join()}`);
  },

  // Acts as an operator: path, then what to click and fill in, then a text that has to be there.
  async act() {
    const context = await launch();
    const page = await context.newPage();
    watch(page, () => "act");
    await signIn(page);
    await open(page, settings.act.path);
    for (const step of settings.act.steps) {
      if (step.link) await page.locator("main").getByRole("link", { name: step.link, exact: true }).first().click();
      if (step.link_with) await page.locator("main a", { hasText: step.link_with }).first().click();
      if (step.menu) await page.locator("nav.main").getByRole("link", { name: step.menu, exact: true }).click();
      if (step.nothing && await page.locator("main").getByRole("button", { name: step.nothing }).count()) problems.push(`\`${step.nothing}\` is there`);
      if (step.nothing_of && (await page.locator("main").innerText()).includes(step.nothing_of)) problems.push(`\`${step.nothing_of}\` is there`);
      if (step.button) await page.locator("main").getByRole("button", { name: step.button }).click();
      if (step.fill) await page.locator(`main [name="${step.fill}"]`).fill(step.value);
      for (const [from, to] of step.replaced || []) {
        const field = page.locator("main textarea");
        await field.fill((await field.inputValue()).replace(from, to));
      }
      if (step.text) await page.locator("main").getByText(step.text).first().waitFor({ timeout: 20000 });
    }
    found.path = new URL(page.url()).pathname;
    await page.screenshot({ path: join(settings.shots, "act.png"), fullPage: true });
  },
};

try {
  await tasks[settings.task]();
} catch (error) {
  problems.push(String(error));
} finally {
  for (const context of opened) await context.close().catch(() => {});
  rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify({ problems, ...found }));
