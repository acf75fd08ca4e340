//! `tcplab extcap`: the plugin that Wireshark calls for captures from other programs (extcap(4)). Each lesson and each
//! scenario file is an interface. Wireshark asks for the interfaces, for the dialog of each, and for packets in a FIFO.
//!
//! Wireshark shows everything on standard error as an error. So a capture that goes well prints nothing.

mod install;
mod interfaces;
mod profile;
mod sentences;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::Args as ClapArgs;

use super::args::How;
use super::output::{Output, print};
use super::output_file::{CAPTURE, Destination, FileKind};
use super::run::pace::Pace;
use super::scenario::Which;
use super::{CliError, help, values};
use crate::app::Registry;
use crate::escape::{Name, escaped};
use crate::link::LinkArgument;
use crate::scenario::Recipe;
use interfaces::Interface;

#[derive(Debug, ClapArgs)]
#[command(after_help = help::EXTCAP)]
pub(super) struct Extcap {
    /// Put the plugin where Wireshark looks for it, or into DIR [default: ask `tshark -G folders`]
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, group = "task")]
    #[allow(clippy::option_option, reason = "for clap: an option that may have a value")]
    install: Option<Option<PathBuf>>,
    /// Remove the plugin from where --install puts it, or from DIR [default: ask `tshark -G folders`]
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, group = "task")]
    #[allow(clippy::option_option, reason = "for clap: an option that may have a value")]
    uninstall: Option<Option<PathBuf>>,
    /// Write a profile for Wireshark into DIR: colour rules, and a column for the comment
    #[arg(long, value_name = "DIR", group = "task")]
    profile: Option<PathBuf>,
    /// Offer the scenario files (*.toml) of this directory too; may be repeated
    /// [default: tcplab/scenarios below `XDG_DATA_HOME`, else below ~/.local/share]
    #[arg(long, value_name = "DIR")]
    scenarios: Vec<PathBuf>,
    /// With --install, --uninstall and --profile: replace or remove a file that tcplab did not write
    /// [default: such a file is kept, exit code 2]
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    dialog: Dialog,
}

/// What Wireshark asks for.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Called by Wireshark")]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of Wireshark's protocol")]
struct Asked {
    /// Print the interfaces
    #[arg(long, group = "task")]
    extcap_interfaces: bool,
    /// The interface that is meant
    #[arg(long, value_name = "NAME")]
    extcap_interface: Option<String>,
    /// Print the link types of the interface
    #[arg(long, group = "task", requires = "extcap_interface")]
    extcap_dlts: bool,
    /// Print the dialog of the interface
    #[arg(long, group = "task", requires = "extcap_interface")]
    extcap_config: bool,
    /// Print the version of the plugin; the value is the version of Wireshark
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option, reason = "for clap: an option that may have a value")]
    extcap_version: Option<Option<String>>,
    /// A capture filter, which is refused: Wireshark's display filters do the same
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    extcap_capture_filter: Option<String>,
    /// Capture on the interface
    #[arg(long, group = "task", requires = "extcap_interface", requires = "fifo")]
    capture: bool,
    /// The pipe or file that gets the packets
    #[arg(long, value_name = "FILE")]
    fifo: Option<PathBuf>,
    /// A pipe of Wireshark's toolbar, which is not used
    #[arg(long, value_name = "FILE", hide = true)]
    extcap_control_in: Option<PathBuf>,
    /// A pipe of Wireshark's toolbar, which is not used
    #[arg(long, value_name = "FILE", hide = true)]
    extcap_control_out: Option<PathBuf>,
}

/// What the dialog sets.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Settings of a capture")]
struct Dialog {
    /// With the interface `tcplab`: the lesson, or file-NAME for the scenario file NAME.toml [default: handshake]
    #[arg(long, value_name = "NAME")]
    lesson: Option<String>,
    /// Random seed [default: the seed of the scenario, else 1]
    #[arg(long, value_name = "N", value_parser = values::seed)]
    seed: Option<u64>,
    /// Change items of every link: `delay=50ms,loss=1%` [default: the links of the scenario]
    #[arg(long, value_name = "SPEC")]
    link: Vec<LinkArgument>,
    /// Congestion controller of every host [default: the one in the scenario, else cubic]
    #[arg(long, value_name = "NAME")]
    cc: Option<String>,
    /// Capture at this host [default: the host that the scenario names, else the first]
    #[arg(long, value_name = "HOST")]
    at: Option<String>,
    /// How much each comment says
    #[arg(long, value_name = "HOW", default_value = "brief")]
    comments: How,
    /// Pace the run by the wall clock [default: as fast as possible]
    #[arg(long)]
    realtime: bool,
}

pub(super) fn run(args: &Extcap, registry: &Registry, output: Output) -> Result<(), CliError> {
    output.refuse_json("extcap", "its output is in the form that Wireshark reads")?;
    let asked = &args.asked;
    let directories = interfaces::directories(&args.scenarios);
    if let Some(dir) = &args.install {
        return install::install(dir.as_deref(), &args.scenarios, args.force, registry, output);
    }
    if let Some(dir) = &args.uninstall {
        return install::uninstall(dir.as_deref(), args.force, output);
    }
    if let Some(dir) = &args.profile {
        return profile::write(dir, args.force, output);
    }
    if asked.extcap_interfaces {
        // Wireshark shows only the list; who calls the plugin by hand sees this too.
        let missing = args.scenarios.iter().filter(|dir| !dir.is_dir());
        let warning = |dir: &PathBuf| format!("--scenarios {}: this is not a readable directory", dir.display());
        output.warnings(&missing.map(warning).collect::<Vec<_>>());
        let all = interfaces::list(&directories, registry);
        return Ok(print(sentences::list(&all))?);
    }
    let Some(name) = &asked.extcap_interface else {
        if asked.extcap_version.is_some() {
            return Ok(print(sentences::version())?);
        }
        return Err(CliError::Usage(
            "extcap: nothing is asked for; `tcplab extcap --install` puts the plugin where Wireshark looks, and \
             `tcplab extcap --profile DIR` writes a profile"
                .to_owned(),
        ));
    };
    let interface = interfaces::find(name, &directories, registry)?;
    if asked.extcap_dlts {
        return Ok(print(sentences::LINK_TYPE)?);
    }
    if asked.extcap_config {
        return Ok(print(sentences::dialog(&interface, &directories, registry))?);
    }
    let filter = asked.extcap_capture_filter.as_deref().unwrap_or_default();
    if let (true, Some(fifo)) = (asked.capture, &asked.fifo) {
        if !filter.trim().is_empty() {
            return Err(CliError::Usage(format!("extcap: {NO_FILTER}")));
        }
        return capture(&args.dialog, fifo, &interface, &directories, registry);
    }
    // Wireshark asks whether a filter is right. Any text is the reason why it is not.
    if !filter.trim().is_empty() {
        return Ok(print(format_args!("{NO_FILTER}\n"))?);
    }
    Ok(())
}

const NO_FILTER: &str = "tcplab has no capture filters; leave it out, and use a display filter";

/// Runs the scenario of an interface, with its packets into `fifo`. The bytes are those of `tcplab run -w`.
fn capture(
    dialog: &Dialog,
    fifo: &Path,
    interface: &Interface,
    directories: &[PathBuf],
    registry: &Registry,
) -> Result<(), CliError> {
    let usage = |error: &dyn core::fmt::Display| CliError::Usage(error.to_string());
    let name = match (&interface.scenario, &dialog.lesson) {
        (Some(scenario), _) => scenario.clone(),
        (None, None) => interfaces::FIRST_LESSON.to_owned(),
        (None, Some(chosen)) => interfaces::chosen(chosen, directories, registry)?,
    };
    let which = Which { scenario: name, link: dialog.link.clone(), trace: Vec::new(), cc: dialog.cc.clone() };
    let scenario = which.open(&[], registry)?;
    let seed = dialog.seed.unwrap_or_else(|| scenario.seed());
    let world = scenario.build(seed).map_err(|error| usage(&error))?;
    let host = match dialog.at.as_deref().filter(|at| !at.is_empty()) {
        None => scenario.at().to_owned(),
        Some(at) => world.find(at).map(|host| host.name().to_owned()).ok_or_else(|| {
            let known = scenario.hosts().collect::<Vec<_>>().join(", ");
            CliError::Usage(format!("--at {}: there is no host of that name; the hosts are {known}", Name(at)))
        })?,
    };
    let inputs: Vec<_> = which.file().into_iter().collect();
    let kind = FileKind { option: "--fifo", has_force: false, ..CAPTURE };
    let destination = Destination::check_as(&kind, fifo, &inputs, false)?;
    let recipe = Recipe::new(&scenario, seed).at(&host).comments(dialog.comments.into());
    let settings = recipe.settings(&world).map_err(|error| usage(&error))?;
    let captures = Rc::default();
    if dialog.realtime {
        world.observe(Pace::by_wall_clock(Rc::clone(&captures)));
    }
    let capture = Rc::new(RefCell::new(destination.capture(settings)?));
    captures.borrow_mut().push(Rc::clone(&capture));
    world.observe(Rc::clone(&capture));
    let outcome = world.run();
    capture.borrow_mut().close().map_err(|error| CliError::Run(error.to_string()))?;
    let failures: Vec<_> = outcome.failures.iter().map(|failure| escaped(failure)).collect();
    match failures.len() {
        0 => Ok(()),
        _ => Err(CliError::Failures(Name(&which.scenario).to_string(), failures.join("\n"))),
    }
}
