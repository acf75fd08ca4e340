//! HTML pages: what `--html` of `show`, `run` and `replay` records, and `tcplab lessons --pages`, which writes a page for
//! each lesson and the index of the course. The page itself is `view::page`.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use super::CliError;
use super::output::Output;
use super::output_file::{Destination, FileKind};
use super::pictures::Take;
use crate::app::Registry;
use crate::capture::Record;
use crate::escape;
use crate::event::{HostId, Observer};
use crate::scenario::{Scenario, lessons};
use crate::trace::Trace;
use crate::view::model::{MOST_PACKETS, MOST_STEPS, Model, Recorder, Story};
use crate::view::page::{BEGINNING, Curves, Entry, Place, index, page};
use crate::view::series::{Happening, Links, RunSteps};

/// The file of `--html`.
pub(super) const HTML: FileKind = FileKind {
    option: "--html",
    name: "a page that --html has written",
    example: "tcplab.html",
    pipe: "cat > tcplab.html",
    has_force: false,
    is_one: |begins| begins.starts_with(BEGINNING.as_bytes()),
};

/// A file of `lessons --pages`.
const PAGES: FileKind = FileKind { option: "lessons --pages", ..HTML };

/// The page of a capture, whose records are to be given to it.
#[derive(Default)]
pub(super) struct CapturePage {
    recorder: Recorder,
    count: u64,
}

impl CapturePage {
    /// Takes the next record.
    pub(super) fn record(&mut self, record: &Record<'_>, ours: bool) {
        self.count += 1;
        if self.count <= MOST_PACKETS {
            self.recorder.record(record, ours);
        }
    }

    /// The text of the page.
    pub(super) fn finish(self, title: &str, mut notes: Vec<String>) -> String {
        if self.count > MOST_PACKETS {
            notes.push(format!("The capture has {} packets; the page has the first {MOST_PACKETS}.", self.count));
        }
        let model = Model::new(title, self.recorder).with_notes(notes);
        page(&model, &Curves::of_capture(&model), Place::default())
    }
}

/// The page of a run, with observers for it.
pub(super) struct RunPage {
    recorder: Rc<RefCell<Recorder>>,
    steps: Rc<RefCell<RunSteps<Take>>>,
    curves: Rc<RefCell<Curves>>,
}

impl RunPage {
    pub(super) fn new(names: Vec<(HostId, String)>, from_first: bool) -> Self {
        let curves = Rc::new(RefCell::new(Curves::default()));
        let told = Rc::clone(&curves);
        let take: Take = Box::new(move |trace: &Trace, links: &Links, happening: Happening| {
            told.borrow_mut().happening(trace, links, &happening);
        });
        let (mut recorder, mut steps) = (Recorder::with_limit(MOST_STEPS), RunSteps::new(take));
        recorder.name_hosts(names.iter().cloned());
        steps.name_hosts(names);
        if from_first {
            recorder.count_from_first();
            steps.count_from_first();
        }
        Self { recorder: Rc::new(RefCell::new(recorder)), steps: Rc::new(RefCell::new(steps)), curves }
    }

    /// What is to be shown the events.
    pub(super) fn observers(&self) -> [Rc<RefCell<dyn Observer>>; 2] {
        [Rc::clone(&self.recorder) as _, Rc::clone(&self.steps) as _]
    }

    /// The text of the page, at the end of the run.
    pub(super) fn finish(self, title: &str, story: Option<Story>, place: Place<'_>) -> String {
        let recorder = self.recorder.take();
        // It gives the curves what it has held back.
        let mut steps = self.steps.borrow_mut();
        let (trace, links) = steps.finish();
        let mut curves = self.curves.borrow_mut();
        curves.finish(trace, links);
        let mut notes = Vec::new();
        if recorder.left_out() > 0 {
            notes.push(format!("The run has more steps; the page has the first {MOST_STEPS}."));
        }
        let model = Model::new(title, recorder).with_notes(notes);
        let model = story.into_iter().fold(model, Model::with_story);
        page(&model, &curves, place)
    }
}

/// The story of a scenario.
pub(super) fn story(scenario: &Scenario) -> Story {
    Story { summary: scenario.summary().to_owned(), story: scenario.story().to_owned(), look: scenario.look().to_vec() }
}

/// `lessons --pages DIR`: writes the course into a directory, which is made where it is missing.
///
/// # Errors
/// The directory cannot be made, or a file in it is not a page of ours or cannot be written. Exit code 2.
pub(super) fn write_course(directory: &Path, registry: &Registry, output: Output) -> Result<(), CliError> {
    let shown = escape::path(directory);
    fs::create_dir_all(directory).map_err(|error| {
        CliError::Usage(format!("lessons --pages {shown}: cannot make the directory: {error}; name another directory"))
    })?;
    let place = |name: &str| Destination::check_as(&PAGES, &directory.join(format!("{name}.html")), &[], false);
    // Nothing is written before all files are known to be ours.
    let index_file = place("index")?;
    let files = lessons().map(|name| Ok((name, place(name)?))).collect::<Result<Vec<_>, CliError>>()?;
    let mut entries = Vec::new();
    for (name, file) in files {
        let scenario = Scenario::lesson_with(name, registry).expect("it is on the list");
        let world = scenario.build(scenario.seed()).map_err(|error| CliError::Usage(error.to_string()))?;
        let made = RunPage::new(world.names().to_vec(), false);
        made.observers().into_iter().for_each(|observer| _ = world.observe(observer));
        world.run();
        let place = Place { topic: Some(scenario.topic()), in_course: true };
        file.write(&PAGES, &made.finish(name, Some(story(&scenario)), place))?;
        entries.push(Entry {
            name: name.to_owned(),
            topic: scenario.topic().to_owned(),
            summary: scenario.summary().to_owned(),
        });
    }
    index_file.write(&PAGES, &index(&entries))?;
    output.note(format_args!("{} lessons; open {}", entries.len(), escape::path(&directory.join("index.html"))));
    Ok(())
}
