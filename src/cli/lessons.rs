//! `tcplab lessons`: lists the lessons by topic, prints one as a scenario file, or writes the pages of the course.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::output::{Output, json_line, print};
use super::{CliError, help, pages};
use crate::app::Registry;
use crate::scenario::{Scenario, keys, lessons};

#[derive(Debug, ClapArgs)]
#[command(after_help = help::LESSONS)]
pub(super) struct Lessons {
    /// Print this lesson as a scenario file [default: list all lessons]
    #[arg(long, value_name = "NAME")]
    show: Option<String>,
    /// Write an HTML page for each lesson, and index.html, into DIR [default: no pages]
    #[arg(long, value_name = "DIR", conflicts_with = "show")]
    pages: Option<PathBuf>,
}

pub(super) fn run(args: &Lessons, registry: &Registry, output: Output) -> Result<(), CliError> {
    if let Some(directory) = &args.pages {
        return pages::write_course(directory, registry, output);
    }
    if let Some(name) = &args.show {
        let lesson = Scenario::lesson(name).ok_or_else(|| {
            let all = lessons().collect::<Vec<_>>().join(", ");
            CliError::Usage(format!("lessons --show {name}: there is no lesson of that name; the lessons are {all}"))
        })?;
        if output.json {
            return Ok(print(json_line(&json!({ "name": name, "text": lesson.text() })))?);
        }
        print(lesson.text())?;
        let all = keys();
        let of_hosts = all.iter().filter_map(|(key, _)| key.strip_prefix("hosts.NAME."));
        let of_hosts = of_hosts.collect::<Vec<_>>().join(", ");
        output.note(format_args!("\nkeys of a host: {of_hosts}\ndocs/scenarios.md explains all keys"));
        return Ok(());
    }
    let mut topic = String::new();
    for name in lessons() {
        let lesson = Scenario::lesson(name).expect("it is on the list");
        if output.json {
            let line = json!({ "name": name, "topic": lesson.topic(), "summary": lesson.summary() });
            print(json_line(&line))?;
            continue;
        }
        if lesson.topic() != topic {
            lesson.topic().clone_into(&mut topic);
            output.result(format_args!("{}\n", output.title(&topic)))?;
        }
        print(format_args!("  {name:<20} {}\n", lesson.summary()))?;
    }
    if !output.json {
        output.note("\n`tcplab run NAME` runs a lesson; `tcplab lessons --show NAME` prints it as a scenario file");
    }
    Ok(())
}
