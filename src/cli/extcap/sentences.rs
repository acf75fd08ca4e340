//! The sentences of extcap(4): a word, and values in braces. A value cannot contain a brace, so braces in texts of users
//! become parentheses.

use core::fmt::Write as _;

use std::path::PathBuf;

use super::interfaces::{self, FIRST_LESSON, Interface};
use crate::app::Registry;
use crate::cli::scenario::Which;
use crate::escape::escaped;

/// The only link type: raw IP.
pub(super) const LINK_TYPE: &str = "dlt {number=101}{name=RAW}{display=Raw IP}\n";

/// The version of the plugin.
pub(super) fn version() -> String {
    format!("extcap {{version={}}}{{display=tcplab}}\n", env!("CARGO_PKG_VERSION"))
}

/// The list of interfaces.
pub(super) fn list(all: &[Interface]) -> String {
    let mut out = version();
    for interface in all {
        let _ = writeln!(out, "interface {{value={}}}{{display={}}}", interface.name, value(&interface.display));
    }
    out
}

/// The dialog of an interface. That of a file with a mistake knows no hosts.
pub(super) fn dialog(interface: &Interface, directories: &[PathBuf], registry: &Registry) -> String {
    let mut dialog = Text::default();
    if interface.scenario.is_none() {
        dialog.argument("--lesson", "Lesson", "selector", "The lesson or the scenario file that is run", "");
        for other in interfaces::list(directories, registry) {
            let Some(choice) = other.choice() else { continue };
            let display = other.display.strip_prefix("tcplab ").unwrap_or(&other.display);
            dialog.choice(choice, display, choice == FIRST_LESSON);
        }
    }
    let read = |name: &String| {
        Which { scenario: name.clone(), link: Vec::new(), trace: Vec::new(), cc: None }.open(&[], registry).ok()
    };
    let scenario = interface.scenario.as_ref().and_then(read);
    let seed = scenario.as_ref().map_or(String::new(), |scenario| format!("{{default={}}}", scenario.seed()));
    let seed = format!("{seed}{{validation=^[0-9]*$}}{{placeholder=the seed of the scenario}}");
    dialog.argument("--seed", "Seed", "string", "The same seed gives the same packets", &seed);
    let link = "{placeholder=delay=50ms,loss=1%}";
    dialog.argument("--link", "Links", "string", "Items that replace those of every link of the scenario", link);
    let known: Vec<_> = registry.algorithms().iter().map(|algorithm| value(algorithm.name())).collect();
    let validation = format!("{{validation=^({})?$}}{{placeholder=that of the scenario}}", known.join("|"));
    let controllers = format!("Congestion controller of every host: {}", known.join(", "));
    dialog.argument("--cc", "Congestion control", "string", &controllers, &validation);
    let at = "The host at whose interface the packets are captured";
    match &scenario {
        None => {
            let other = "{placeholder=the host that the scenario names}";
            dialog.argument("--at", "Vantage point", "string", at, other);
        }
        Some(scenario) => {
            dialog.argument("--at", "Vantage point", "selector", at, "");
            for host in scenario.hosts() {
                dialog.choice(host, host, host == scenario.at());
            }
        }
    }
    dialog.argument("--comments", "Comments", "selector", "How much the comment on each packet says", "");
    dialog.choice("brief", "what the packet is and why it was sent", true);
    dialog.choice("full", "the same, with srtt, rto, cwnd and others", false);
    dialog.choice("none", "no comments", false);
    let realtime = "The packets appear at the speed of the wall clock";
    dialog.argument("--realtime", "Real time", "boolflag", realtime, "{default=false}");
    dialog.out
}

/// The sentences of a dialog.
#[derive(Default)]
struct Text {
    out: String,
    arguments: usize,
}

impl Text {
    fn argument(&mut self, call: &str, display: &str, kind: &str, tooltip: &str, more: &str) {
        let number = self.arguments;
        self.arguments += 1;
        let _ = writeln!(
            self.out,
            "arg {{number={number}}}{{call={call}}}{{display={display}}}{{type={kind}}}{{tooltip={tooltip}}}{more}"
        );
    }

    /// A value of the last argument.
    fn choice(&mut self, choice: &str, display: &str, default: bool) {
        let argument = self.arguments.saturating_sub(1);
        let (choice, display) = (value(choice), value(display));
        let _ =
            writeln!(self.out, "value {{arg={argument}}}{{value={choice}}}{{display={display}}}{{default={default}}}");
    }
}

/// A text as a value in braces.
fn value(text: &str) -> String {
    escaped(text).replace('{', "(").replace('}', ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_value_or_begin_a_sentence() {
        let display = "a}{value=b}\ninterface {value=c}\u{1b}[2J".to_owned();
        let interface = Interface { name: "tcplab-a".to_owned(), display, scenario: None };
        let text = list(&[interface]);
        let expected = "interface {value=tcplab-a}{display=a)(value=b)\\ninterface (value=c)\\u(1b)[2J}";
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), [expected]);
    }
}
