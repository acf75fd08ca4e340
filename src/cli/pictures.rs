//! `--plot`, `--svg`, `--series` and `--html` of `show`, `run` and `replay`: a plot or the ladder as SVG, the numbers behind a
//! plot, and a page.
//! The files are checked before anything is read or run. Rows of numbers are written while they come; a picture is written
//! at the end.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::{Args as ClapArgs, ValueEnum};

use super::CliError;
use super::output::Output;
use super::output_file::{Destination, FileKind};
use super::pages::{CapturePage, HTML, RunPage, story};
use crate::capture::Record;
use crate::escape;
use crate::event::{HostId, LinkId, Observer};
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::view::page::Place;
use crate::view::plot::{About, Origin, plot};
use crate::view::series::{Happening, Links, PlotKind, RowWriter, RunSteps, Sample, Sampler, Series};
use crate::view::{Ladder, LadderWriter, SVG_COLUMNS, Style, SvgLadder};

#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Pictures")]
pub(super) struct Pictures {
    /// Plot this over time, with --svg or --series; one plot for each call [default: the ladder is drawn]
    #[arg(long, value_name = "KIND")]
    plot: Option<PlotName>,
    /// Write the plot, or without --plot the ladder, as an SVG picture to FILE; `-` is standard output. The ladder is not
    /// printed then [default: no picture]
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the numbers behind the plot as CSV to FILE; `-` is standard output. docs/views.md lists the columns
    /// [default: no numbers]
    #[arg(long, value_name = "FILE", requires = "plot")]
    series: Option<PathBuf>,
    /// Write everything as one HTML page to FILE, for a browser; `-` is standard output. The ladder is not printed then
    /// [default: no page]
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlotName {
    /// Segments, ACKs, SACK and the window, by sequence number
    Sequence,
    /// Flight size, advertised window, cwnd, ssthresh
    Window,
    /// Round-trip times, SRTT, RTO
    Rtt,
    /// Bits per second, sent and acknowledged
    Throughput,
    /// Packets in the queues of links; only in a run
    Queue,
}

impl From<PlotName> for PlotKind {
    fn from(name: PlotName) -> Self {
        match name {
            PlotName::Sequence => Self::Sequence,
            PlotName::Window => Self::Window,
            PlotName::Rtt => Self::Rtt,
            PlotName::Throughput => Self::Throughput,
            PlotName::Queue => Self::Queue,
        }
    }
}

/// The file of `--svg`.
const SVG: FileKind = FileKind {
    option: "--svg",
    name: "an SVG picture",
    example: "tcplab.svg",
    pipe: "rsvg-convert > tcplab.png",
    has_force: false,
    is_one: |begins| begins.starts_with(b"<svg"),
};

/// The file of `--series`.
const CSV: FileKind = FileKind {
    option: "--series",
    name: "a file of numbers that --series has written",
    example: "tcplab.csv",
    pipe: "less",
    has_force: false,
    is_one: |begins| begins.starts_with(b"time_s,"),
};

/// What is drawn, and where it goes.
#[derive(Clone, Debug)]
pub(super) struct Places {
    plot: Option<PlotKind>,
    svg: Option<Destination>,
    series: Option<Destination>,
    html: Option<Destination>,
}

impl Pictures {
    /// Where pictures and numbers go, if any are asked for. `inputs` are the files that the command reads, `write` is the file
    /// of `-w`.
    ///
    /// # Errors
    /// A plot that is written nowhere, one file for two outputs, and those of [`Destination::check`]. Exit code 2.
    pub(super) fn check(&self, inputs: &[&Path], write: Option<&Path>) -> Result<Option<Places>, CliError> {
        if let (Some(_), None, None) = (self.plot, &self.svg, &self.series) {
            return Err(CliError::Usage(
                "--plot: no file is named; add --svg FILE for a picture, or --series FILE for the numbers".to_owned(),
            ));
        }
        let check = |kind: &FileKind, path: &PathBuf, taken: &[(&str, Option<&Path>)]| {
            let is_stdout = path == Path::new("-");
            for (option, other) in taken.iter().filter_map(|(option, other)| Some((option, (*other)?))) {
                let other_is_stdout = other == Path::new("-");
                let same = if is_stdout || other_is_stdout {
                    is_stdout && other_is_stdout
                } else {
                    Destination::check_as(kind, path, &[], true).is_ok()
                        && Destination::check_as(kind, path, &[other], true).is_err()
                };
                if same {
                    let (kind, shown) = (kind.option, escape::path(path));
                    return Err(CliError::Usage(format!(
                        "{kind} {shown}: {option} writes there too; name another file"
                    )));
                }
            }
            Destination::check_as(kind, path, inputs, false)
        };
        let svg = self.svg.as_ref().map(|path| check(&SVG, path, &[("-w", write)])).transpose()?;
        let taken = [("-w", write), ("--svg", self.svg.as_deref())];
        let series = self.series.as_ref().map(|path| check(&CSV, path, &taken)).transpose()?;
        let taken = [("-w", write), ("--svg", self.svg.as_deref()), ("--series", self.series.as_deref())];
        let html = self.html.as_ref().map(|path| check(&HTML, path, &taken)).transpose()?;
        let wanted = svg.is_some() || series.is_some() || html.is_some();
        Ok(wanted.then_some(Places { plot: self.plot.map(PlotKind::from), svg, series, html }))
    }
}

impl Places {
    /// A picture or numbers are asked for, not only a page.
    fn draws(&self) -> bool {
        self.svg.is_some() || self.series.is_some()
    }

    /// Results then go to standard error.
    pub(super) fn is_stdout(&self) -> bool {
        [&self.svg, &self.series, &self.html].into_iter().flatten().any(Destination::is_stdout)
    }

    /// The plot is that of queues.
    pub(super) fn is_of_queues(&self) -> bool {
        self.plot == Some(PlotKind::Queue)
    }

    /// A picture of a capture, whose records are to be given to it.
    ///
    /// # Errors
    /// A file cannot be opened, or a capture does not tell what is to be plotted. Exit code 2.
    pub(super) fn of_capture(self, all: bool) -> Result<CapturePicture, CliError> {
        if self.is_of_queues() {
            return Err(CliError::Usage(
                "--plot queue: a capture does not tell the queues of links; `tcplab run` plots them".to_owned(),
            ));
        }
        let numbers = self.plot.map(|kind| Numbers::open(kind, self.series.as_ref())).transpose()?;
        let style = Style { width: SVG_COLUMNS, color: true, ascii: false, all };
        let (ladder, drawn, text) = (LadderWriter::new(style), SvgLadder::new(), String::new());
        let page = self.html.as_ref().map(|_| CapturePage::default());
        let trace = Trace::new().forgetting();
        Ok(CapturePicture { trace, numbers, ladder, drawn, text, page, notes: Vec::new(), places: self })
    }

    /// A picture of a run, with an observer for it.
    ///
    /// # Errors
    /// A file cannot be opened. Exit code 2.
    pub(super) fn of_run(
        self,
        names: impl IntoIterator<Item = (HostId, String)>,
        (all, from_first): (bool, bool),
    ) -> Result<RunPicture, CliError> {
        let names: Vec<_> = names.into_iter().collect();
        let page = self.html.as_ref().map(|_| RunPage::new(names.clone(), from_first));
        let Some(kind) = self.plot else {
            let mut ladder = Ladder::new();
            ladder.name_hosts(names);
            if from_first {
                ladder.count_from_first();
            }
            return Ok(RunPicture { what: What::Ladder(Rc::new(RefCell::new(ladder)), all), page, places: self });
        };
        let numbers = Rc::new(RefCell::new(Numbers::open(kind, self.series.as_ref())?));
        let told = Rc::clone(&numbers);
        let take: Take = Box::new(move |trace: &Trace, links: &Links, happening: Happening| {
            told.borrow_mut().happening(trace, &happening, |link| links.name(trace, link));
        });
        let mut steps = RunSteps::new(take);
        steps.name_hosts(names);
        if from_first {
            steps.count_from_first();
        }
        Ok(RunPicture { what: What::Plot(Rc::new(RefCell::new(steps)), numbers), page, places: self })
    }

    fn write(&self, picture: impl FnOnce() -> String, output: Output) -> Result<(), CliError> {
        if let Some(svg) = &self.svg {
            svg.write(&SVG, &picture())?;
            output.note(format_args!("picture in {svg}"));
        }
        if let Some(series) = &self.series {
            output.note(format_args!("numbers in {series}"));
        }
        Ok(())
    }

    fn write_page(&self, page: impl FnOnce() -> String, output: Output) -> Result<(), CliError> {
        if let Some(html) = &self.html {
            html.write(&HTML, &page())?;
            output.note(format_args!("page in {html}"));
        }
        Ok(())
    }
}

/// The numbers of a plot, for a picture and for a file.
struct Numbers {
    kind: PlotKind,
    sampler: Sampler,
    series: Series,
    rows: Option<Rows>,
}

/// Where rows go. The first error is kept until the end.
struct Rows {
    writer: RowWriter,
    out: Box<dyn Write>,
    place: Destination,
    text: String,
    error: Option<io::Error>,
}

impl Numbers {
    fn open(kind: PlotKind, place: Option<&Destination>) -> Result<Self, CliError> {
        let rows = place.map(|place| Rows::open(kind, place)).transpose()?;
        Ok(Self { kind, sampler: Sampler::new(), series: Series::new(), rows })
    }

    fn happening(&mut self, trace: &Trace, happening: &Happening, link: impl Fn(LinkId) -> String) {
        let Self { sampler, series, rows, .. } = self;
        let take = |sample: Sample| {
            series.take(trace, &sample);
            if let Some(rows) = rows {
                rows.writer.row(&sample, &link, &mut rows.text);
            }
        };
        match happening {
            Happening::Step(step) => sampler.step(trace, step, take),
            Happening::Arrived { at, packet } => sampler.arrived(trace, *at, *packet, take),
            Happening::End => sampler.finish(take),
        }
        if let Some(rows) = rows {
            rows.flush();
        }
    }

    /// Writes what is left of the rows.
    fn close(&mut self) -> Result<(), CliError> {
        let Some(mut rows) = self.rows.take() else { return Ok(()) };
        rows.writer.finish(&self.series, &mut rows.text);
        rows.flush();
        let Rows { out, error, place, .. } = &mut rows;
        let failed = error.take().map_or_else(|| out.flush(), Err);
        failed.map_err(|error| match place {
            Destination::Stdout => CliError::Output(error),
            Destination::File(path) => CliError::Run(format!(
                "--series {}: cannot write the numbers: {error}; check that the disk has space",
                escape::path(path)
            )),
        })
    }
}

impl Rows {
    fn open(kind: PlotKind, place: &Destination) -> Result<Self, CliError> {
        let out: Box<dyn Write> = match place {
            Destination::Stdout => Box::new(BufWriter::new(io::stdout())),
            Destination::File(path) => {
                let file = File::create(path).map_err(|error| {
                    let shown = escape::path(path);
                    CliError::Usage(format!("--series {shown}: cannot create the file: {error}; name another file"))
                })?;
                Box::new(BufWriter::new(file))
            }
        };
        let writer = RowWriter::new(kind);
        Ok(Self { writer, out, place: place.clone(), text: writer.header().to_owned(), error: None })
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.out.write_all(self.text.as_bytes()).err();
        }
        self.text.clear();
    }
}

/// A plot or the ladder of a capture.
pub(super) struct CapturePicture {
    trace: Trace,
    numbers: Option<Numbers>,
    ladder: LadderWriter,
    drawn: SvgLadder,
    text: String,
    page: Option<CapturePage>,
    notes: Vec<String>,
    places: Places,
}

impl CapturePicture {
    /// Takes the next record.
    pub(super) fn record(&mut self, record: &Record<'_>, ours: bool) {
        let Self { trace, numbers, ladder, drawn, text, page, places, .. } = self;
        if let Some(page) = page {
            page.record(record, ours);
        }
        if !places.draws() {
            return;
        }
        trace.record(record, ours);
        while let Some(step) = trace.next_step() {
            match numbers {
                Some(numbers) => numbers.happening(trace, &Happening::Step(step), |link| format!("link {}", link.0)),
                None => ladder.step(trace, step, text),
            }
        }
        drawn.take(text);
        text.clear();
    }

    /// Notes what the reader of a page has to know.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Writes the files.
    ///
    /// # Errors
    /// A file cannot be opened or written.
    pub(super) fn finish(mut self, title: &str, output: Output) -> Result<(), CliError> {
        let notes = std::mem::take(&mut self.notes);
        if let Some(page) = self.page.take() {
            self.places.write_page(|| page.finish(title, notes), output)?;
        }
        if let Some(numbers) = &mut self.numbers {
            numbers.close()?;
            let about = About::new(title, Origin::Capture, &self.trace);
            return self.places.write(|| plot(numbers.kind, &numbers.series, &about), output);
        }
        self.ladder.finish(&self.trace, &mut self.text);
        self.drawn.take(&self.text);
        self.places.write(|| self.drawn.draw(title), output)
    }
}

pub(super) type Take = Box<dyn FnMut(&Trace, &Links, Happening)>;

/// A plot or the ladder of a run.
pub(super) struct RunPicture {
    what: What,
    page: Option<RunPage>,
    places: Places,
}

enum What {
    Plot(Rc<RefCell<RunSteps<Take>>>, Rc<RefCell<Numbers>>),
    /// And whether it is drawn whole.
    Ladder(Rc<RefCell<Ladder>>, bool),
}

impl RunPicture {
    /// What is to be shown the events.
    pub(super) fn observers(&self) -> Vec<Rc<RefCell<dyn Observer>>> {
        let of_picture: Rc<RefCell<dyn Observer>> = match &self.what {
            What::Plot(steps, _) => Rc::clone(steps) as _,
            What::Ladder(ladder, _) => Rc::clone(ladder) as _,
        };
        let of_page = self.page.iter().flat_map(RunPage::observers);
        of_page.chain([of_picture].into_iter().filter(|_| self.places.draws())).collect()
    }

    /// Writes the files, at the end of the run. The story is for a page.
    ///
    /// # Errors
    /// A file cannot be opened or written.
    pub(super) fn finish(self, title: &str, scenario: Option<&Scenario>, output: Output) -> Result<(), CliError> {
        if let Some(page) = self.page {
            let place = Place { topic: scenario.map(Scenario::topic), in_course: false };
            self.places.write_page(|| page.finish(title, scenario.map(story), place), output)?;
        }
        match self.what {
            What::Plot(steps, numbers) => {
                let mut steps = steps.borrow_mut();
                let (trace, links) = steps.finish();
                let mut about = About::new(title, Origin::Run, trace);
                about.links = links.iter().map(|link| (link, links.name(trace, link))).collect();
                let numbers = &mut *numbers.borrow_mut();
                numbers.close()?;
                self.places.write(|| plot(numbers.kind, &numbers.series, &about), output)
            }
            What::Ladder(ladder, all) => {
                let style = Style { width: SVG_COLUMNS, color: true, ascii: false, all };
                let mut drawn = SvgLadder::new();
                drawn.take(&ladder.borrow().draw(&style));
                self.places.write(|| drawn.draw(title), output)
            }
        }
    }
}

/// The title of a picture of a capture: the name of the file, without the directory.
pub(super) fn file_title(path: &Path) -> String {
    let name = path.file_name().filter(|_| path != Path::new("-"));
    name.map_or_else(|| "capture".to_owned(), |name| name.to_string_lossy().into_owned())
}
