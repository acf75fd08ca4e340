//! One session of Chromium: open a page, press keys, ask the page by JavaScript, read its log. Every call waits for its
//! answer.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use url::{ParseError, Url};

/// How long a page may take until it is as it must be.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nothing leaves the machine, and nothing of a user's profile is used.
const ARGUMENTS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--window-size=1280,900",
];

/// The client speaks only while this thread waits for it.
pub(crate) struct Browser {
    runtime: Runtime,
    client: Client,
    /// The size of the window is not the usual one, or the scheme is not that of the system.
    changed: RefCell<bool>,
}

impl Browser {
    pub(crate) fn start(driver: &str, chromium: &Path, profile: &Path) -> Self {
        let profile = format!("--user-data-dir={}", profile.display());
        let arguments: Vec<_> = ARGUMENTS.iter().copied().chain([&*profile]).collect();
        let wanted = json!({
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
            "timeouts": { "script": 30_000, "pageLoad": 60_000 },
        });
        let wanted: Capabilities = wanted.as_object().expect("an object").clone();
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connecting = builder.capabilities(wanted).connect(driver);
        let client = runtime.block_on(connecting).unwrap_or_else(|error| panic!("start Chromium: {error}"));
        Self { runtime, client, changed: RefCell::new(false) }
    }

    pub(crate) fn close(self) {
        let _ = self.runtime.block_on(self.client.close());
    }

    fn wait<T>(&self, what: &str, answer: impl Future<Output = Result<T, CmdError>>) -> T {
        self.runtime.block_on(answer).unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Leaves what another test has left behind.
    pub(crate) fn forget(&self) {
        self.wait("an empty page", self.client.goto("about:blank"));
        if self.changed.replace(false) {
            self.cdp("Emulation.clearDeviceMetricsOverride", &json!({}));
            self.cdp("Emulation.setEmulatedMedia", &json!({ "features": [] }));
        }
        self.log();
    }

    /// Opens a file, with what stands behind `#` in its address.
    pub(crate) fn open(&self, file: &Path, hash: &str) {
        let mut url = Url::from_file_path(file).expect("an absolute path");
        url.set_fragment((!hash.is_empty()).then_some(hash));
        // Another hash alone would not load the file again.
        self.wait("an empty page", self.client.goto("about:blank"));
        self.wait(url.as_str(), self.client.goto(url.as_str()));
    }

    /// As [`Browser::open`], and waits until a row is chosen.
    pub(crate) fn open_page(&self, file: &Path, hash: &str) {
        self.open(file, hash);
        self.until(r#"document.querySelector('#ladder [aria-selected="true"]')"#);
    }

    /// The width and height of the window, in CSS pixels.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.changed.replace(true);
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the system prefers: `light` or `dark`.
    pub(crate) fn prefer(&self, scheme: &str) {
        self.changed.replace(true);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.cdp("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// The value of a JavaScript expression.
    pub(crate) fn eval(&self, expression: &str) -> Value {
        self.run(&format!("return ({expression});"))
    }

    /// Runs statements; what they return.
    pub(crate) fn run(&self, statements: &str) -> Value {
        self.wait(statements, self.client.execute(statements, Vec::new()))
    }

    /// Runs the body of an async function; what it returns. An exception fails the test.
    pub(crate) fn run_async(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async () => {{ {body} }})().then((value) => done([value ?? null]), (error) => done(String(error)));"
        );
        let answer = self.wait(body, self.client.execute_async(&script, Vec::new()));
        answer.get(0).unwrap_or_else(|| panic!("{body}: {answer}")).clone()
    }

    /// The value of an expression, as text.
    pub(crate) fn text(&self, expression: &str) -> String {
        let value = self.eval(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn until(&self, condition: &str) {
        let millis = PATIENCE.as_millis();
        let body = format!(
            "const end = performance.now() + {millis};
             while (!({condition})) {{
                 if (performance.now() > end) return false;
                 await new Promise((next) => setTimeout(next, 2));
             }}
             return true;"
        );
        assert_eq!(self.run_async(&body), true, "it does not become true: {condition}; log: {:?}", self.log());
    }

    /// Presses keys one after the other, where the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let each = |keys: KeyActions, key| keys.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        let keys = keys.chars().fold(KeyActions::new("keyboard".to_owned()), each);
        self.wait("press keys", self.client.perform_actions(keys));
    }

    /// Clicks in the middle of an element, as a mouse does. Something above it is an error.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        self.wait(selector, async { self.client.find(Locator::Css(selector)).await?.click().await });
    }

    /// Scrolls to an element that may be drawn anew by the scrolling, and clicks where it is then.
    pub(crate) fn point_at(&self, selector: &str) {
        let quoted = Value::from(selector);
        let at = self.run_async(&format!(
            "document.querySelector({quoted}).scrollIntoView({{ block: 'nearest' }});
             await new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
             const box = document.querySelector({quoted}).getBoundingClientRect();
             return [box.left + Math.min(box.width, innerWidth) / 2, box.top + box.height / 2];"
        ));
        let [x, y] = [0, 1].map(|axis| at[axis].as_f64().expect("pixels").round());
        let mouse = MouseActions::new("mouse".to_owned())
            .then(PointerAction::MoveTo { duration: None, x, y })
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.wait(selector, self.client.perform_actions(mouse));
    }

    /// Chooses an option of a `<select>`.
    pub(crate) fn choose(&self, selector: &str, value: &str) {
        self.wait(selector, async { self.client.find(Locator::Css(selector)).await?.select_by_value(value).await });
    }

    /// The lines of the console since the last call: warnings, errors, violations of the Content-Security-Policy.
    pub(crate) fn log(&self) -> Vec<String> {
        let lines = self.command("se/log", json!({ "type": "browser" }));
        let lines = lines.as_array().expect("a list of lines");
        lines.iter().map(|line| format!("{} {}", line["level"], line["message"])).collect()
    }

    /// A command of the Chrome `DevTools` Protocol.
    pub(crate) fn cdp(&self, command: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
    }

    fn command(&self, path: &'static str, body: Value) -> Value {
        self.wait(path, self.client.issue_cmd(Extension { path, body }))
    }
}

/// A command of chromedriver that is not in the `WebDriver` standard.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
