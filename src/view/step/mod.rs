//! The terminal UI of `tcplab step`: the ladder with a cursor, and both ends beside it. `cli` gives it keys and a terminal;
//! nothing here reads a clock, a file or a terminal, so that a screen depends only on what it shows, its size and the keys.
//!
//! - `keys`: every key, and what the help says of it;
//! - `rows`: a row of the ladder; `panel`: one end; `packet`: a packet in detail.

mod keys;
mod packet;
mod panel;
mod rows;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::model::{Marks, Model, Row};
use super::text::{ascii, columns, filled, printable, wrapped};
use crate::conversation::Side;
use keys::{Action, KEYS};

/// The least columns and rows that the screen needs.
const LEAST: (u16, u16) = (60, 16);
/// From this size on, the ends stand on both sides of the ladder.
const WIDE: (u16, u16) = (150, 24);
/// The most columns of a view over the ladder.
const VIEW: u16 = 100;

/// How the screen is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// With colours.
    pub(crate) color: bool,
    /// In ASCII only.
    pub(crate) ascii: bool,
}

impl Look {
    fn color(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// A text that a terminal can be sent.
    fn safe(self, text: &str) -> String {
        let text = printable(text, false);
        if self.ascii { ascii(&text) } else { text }
    }
}

/// A text that a terminal can be sent, in at most so many columns. What does not fit is left out.
fn fitted(text: &str, width: usize, look: Look) -> String {
    let text = look.safe(text);
    if columns(&text) <= width {
        return text;
    }
    let mark = if look.ascii { "~" } else { "…" };
    let mut out = String::new();
    for c in text.chars() {
        if columns(&out) + columns(c.encode_utf8(&mut [0; 4])) + 1 > width {
            break;
        }
        out.push(c);
    }
    out.push_str(mark);
    out
}

/// What stands over the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Packet,
    Story,
    Help,
}

/// What the owner of the terminal does after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Go on.
    Draw,
    /// End.
    Quit,
}

/// The state of the terminal UI.
pub(crate) struct Screen {
    model: Model,
    look: Look,
    /// The row at the cursor.
    cursor: usize,
    /// Only the rows of this connection.
    filter: Option<usize>,
    view: Option<View>,
    /// Lines of the view above its first one on the screen.
    scroll: usize,
    /// The number that is being typed.
    search: Option<String>,
    message: String,
    /// Where in the list the first row on the screen is.
    top: usize,
    /// Rows of the ladder on the screen, and lines of the view.
    page: usize,
    view_lines: (usize, usize),
}

impl Screen {
    /// At the first row; a lesson of this topic opens with its story at the row that it is about.
    pub(crate) fn new(model: Model, topic: Option<&str>, look: Look) -> Self {
        let cursor = topic.map_or(0, |topic| model.opening_row(topic));
        let view = topic.and(model.story.as_ref()).map(|_| View::Story);
        let message = model.notes.join("; ");
        Self {
            model,
            look,
            cursor,
            filter: None,
            view,
            scroll: 0,
            search: None,
            message,
            top: 0,
            page: 1,
            view_lines: (0, 1),
        }
    }

    /// Takes a key.
    pub(crate) fn key(&mut self, event: &KeyEvent) -> Next {
        let with_control = event.modifiers.contains(KeyModifiers::CONTROL);
        if self.search.is_some() && !with_control {
            if event.kind != KeyEventKind::Release {
                self.type_number(event.code);
            }
            return Next::Draw;
        }
        let Some(action) = keys::action(event) else { return Next::Draw };
        self.message.clear();
        if action == Action::Quit {
            return Next::Quit;
        }
        self.act(action);
        Next::Draw
    }

    fn act(&mut self, action: Action) {
        let page = self.page.saturating_sub(1).max(1);
        let view_page = self.view_lines.1.saturating_sub(1).max(1);
        match action {
            Action::Down if self.view.is_some() => self.scroll_by(true, 1),
            Action::Up if self.view.is_some() => self.scroll_by(false, 1),
            Action::PageDown if self.view.is_some() => self.scroll_by(true, view_page),
            Action::PageUp if self.view.is_some() => self.scroll_by(false, view_page),
            Action::First if self.view.is_some() => self.scroll = 0,
            Action::Last if self.view.is_some() => self.scroll_by(true, usize::MAX / 2),
            Action::Forward | Action::Down => self.move_by(true, 1),
            Action::Back | Action::Up => self.move_by(false, 1),
            Action::PageDown => self.move_by(true, page),
            Action::PageUp => self.move_by(false, page),
            Action::First => self.move_by(false, usize::MAX / 2),
            Action::Last => self.move_by(true, usize::MAX / 2),
            Action::NextLoss => self.jump(true, "loss", |marks| marks.loss),
            Action::PreviousLoss => self.jump(false, "loss", |marks| marks.loss),
            Action::NextAgain => self.jump(true, "retransmission", |marks| marks.again),
            Action::PreviousAgain => self.jump(false, "retransmission", |marks| marks.again),
            Action::NextState => self.jump(true, "change of a state", |marks| marks.state),
            Action::PreviousState => self.jump(false, "change of a state", |marks| marks.state),
            Action::Filter => self.toggle_filter(),
            Action::NextFlow => self.next_flow(true),
            Action::PreviousFlow => self.next_flow(false),
            Action::Search => self.search = Some(String::new()),
            Action::Packet => self.toggle(View::Packet),
            Action::Story if self.model.story.is_none() => {
                "there is no story: this is no lesson".clone_into(&mut self.message);
            }
            Action::Story => self.toggle(View::Story),
            Action::Help => self.toggle(View::Help),
            Action::Close => self.view = None,
            Action::Quit => {}
        }
    }

    fn toggle(&mut self, view: View) {
        self.view = if self.view == Some(view) { None } else { Some(view) };
        self.scroll = 0;
    }

    /// Digits of a packet number, until Enter or Esc.
    fn type_number(&mut self, code: KeyCode) {
        let Some(typed) = self.search.as_mut() else { return };
        match code {
            KeyCode::Char(digit @ '0'..='9') if typed.len() < 19 => typed.push(digit),
            KeyCode::Backspace => _ = typed.pop(),
            KeyCode::Esc => self.search = None,
            KeyCode::Enter => {
                let typed = self.search.take().unwrap_or_default();
                if let Ok(number) = typed.parse() {
                    self.go_to_packet(number);
                }
            }
            _ => {}
        }
    }

    fn go_to_packet(&mut self, number: u64) {
        self.message.clear();
        match self.model.row_of_packet(number) {
            None => self.message = format!("there is no packet {number}"),
            Some(row) if self.filter.is_some() && self.model.rows[row].flow != self.filter => {
                self.message = format!("packet {number} is not of this connection; f shows all connections");
            }
            Some(row) => self.cursor = row,
        }
    }

    /// How many rows are listed.
    fn listed(&self) -> usize {
        self.filtered().map_or(self.model.rows.len(), <[usize]>::len)
    }

    fn filtered(&self) -> Option<&[usize]> {
        Some(&self.model.flows.get(self.filter?)?.rows)
    }

    /// The row at a place of the list.
    fn row_at(&self, place: usize) -> usize {
        self.filtered().map_or(place, |rows| rows.get(place).copied().unwrap_or(0))
    }

    /// The place of the cursor in the list.
    fn place(&self) -> usize {
        self.filtered().map_or(self.cursor, |rows| rows.partition_point(|row| *row < self.cursor))
    }

    fn move_by(&mut self, forward: bool, by: usize) {
        let last = self.listed().saturating_sub(1);
        let place = self.place();
        let place = if forward { place.saturating_add(by).min(last) } else { place.saturating_sub(by) };
        self.cursor = self.row_at(place);
        self.scroll_packet();
    }

    /// Another packet is shown from its first line.
    fn scroll_packet(&mut self) {
        if self.view == Some(View::Packet) {
            self.scroll = 0;
        }
    }

    fn scroll_by(&mut self, forward: bool, by: usize) {
        let most = self.view_lines.0.saturating_sub(self.view_lines.1);
        self.scroll = if forward { self.scroll.saturating_add(by).min(most) } else { self.scroll.saturating_sub(by) };
    }

    fn jump(&mut self, forward: bool, what: &str, wanted: impl Fn(&Marks) -> bool) {
        let place = self.place();
        let is_wanted = |place: &usize| wanted(&self.model.rows[self.row_at(*place)].marks);
        let found = if forward {
            (place + 1..self.listed()).find(is_wanted)
        } else {
            (0..place.min(self.listed())).rev().find(is_wanted)
        };
        match found {
            Some(place) => {
                self.cursor = self.row_at(place);
                self.scroll_packet();
            }
            None => self.message = format!("there is no {} {what}", if forward { "further" } else { "earlier" }),
        }
    }

    fn toggle_filter(&mut self) {
        self.filter = match (self.filter, self.flow()) {
            (Some(_), _) => None,
            (None, Some(flow)) => Some(flow),
            (None, None) => {
                "this step belongs to no connection".clone_into(&mut self.message);
                None
            }
        };
    }

    /// The connection of the row at the cursor.
    fn flow(&self) -> Option<usize> {
        self.model.rows.get(self.cursor)?.flow
    }

    fn next_flow(&mut self, forward: bool) {
        let flows = &self.model.flows;
        let has_rows = |flow: &usize| flows.get(*flow).is_some_and(|flow| !flow.rows.is_empty());
        let found = match (forward, self.filter.or_else(|| self.flow())) {
            (true, Some(flow)) => (flow + 1..flows.len()).find(has_rows),
            (true, None) => (0..flows.len()).find(has_rows),
            (false, Some(flow)) => (0..flow).rev().find(has_rows),
            (false, None) => None,
        };
        let Some(flow) = found else {
            self.message = format!("there is no {} connection", if forward { "further" } else { "earlier" });
            return;
        };
        self.cursor = flows[flow].rows[0];
        self.filter = self.filter.map(|_| flow);
        self.scroll_packet();
    }

    /// Draws the whole screen.
    pub(crate) fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width < LEAST.0 || area.height < LEAST.1 {
            let text = format!(
                "tcplab step needs {} columns and {} rows; this terminal has {} and {}. q quits.",
                LEAST.0, LEAST.1, area.width, area.height
            );
            let lines = wrapped(&text, area.width.into()).into_iter().map(Line::raw).collect::<Vec<_>>();
            return frame.render_widget(Paragraph::new(lines), area);
        }
        let row = |y: u16, height: u16| Rect { x: area.x, y: area.y + y, width: area.width, height };
        self.draw_header(frame, row(0, 1));
        let middle = row(1, area.height - 2);
        if area.width >= WIDE.0 && area.height >= WIDE.1 {
            self.draw_wide(frame, middle);
        } else {
            self.draw_narrow(frame, middle);
        }
        self.draw_status(frame, row(area.height - 1, 1));
        if let Some(view) = self.view {
            self.draw_view(frame, middle, view);
        }
    }

    fn draw_header(&self, frame: &mut Frame<'_>, area: Rect) {
        let width = usize::from(area.width);
        let packet = self.model.packet_of(self.cursor).map_or(String::new(), |packet| format!("  packet {packet}"));
        let filter = self.filter.map_or(String::new(), |flow| format!("only connection #{flow}  "));
        let right = format!("{filter}step {}/{}{packet} ", self.place() + 1, self.listed());
        let left =
            fitted(&format!(" tcplab step {}", self.model.title), width.saturating_sub(right.len() + 1), self.look);
        let pad = width.saturating_sub(columns(&left) + columns(&right));
        let style = Style::new().add_modifier(Modifier::REVERSED);
        frame.render_widget(Line::styled(format!("{left}{:pad$}{right}", ""), style), area);
    }

    fn draw_status(&self, frame: &mut Frame<'_>, area: Rect) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let line = match (&self.search, self.message.as_str()) {
            (Some(typed), _) => {
                Line::styled(format!(" packet: {typed}_   Enter goes there, Esc ends the search"), bold)
            }
            (None, "") => {
                let hint = " ? help  q quit  arrows step  Enter packet  l loss  r retransmission  s state";
                Line::raw(fitted(hint, area.width.into(), self.look))
            }
            (None, message) => Line::styled(fitted(&format!(" {message}"), area.width.into(), self.look), bold),
        };
        frame.render_widget(line, area);
    }

    /// The ladder above, its words below it, both ends at the bottom.
    fn draw_narrow(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let panels = panel::LINES as u16;
        let words = if area.height >= panels + 10 { 2 } else { 1 };
        let ladder = area.height - panels - words;
        let part = |y: u16, height: u16| Rect { y: area.y + y, height, ..area };
        self.draw_ladder(frame, part(0, ladder));
        self.draw_words(frame, part(ladder, words));
        let half = area.width / 2;
        let panels = part(ladder + words, panels);
        let left = Rect { width: half - 1, ..panels };
        let right = Rect { x: panels.x + half + 1, width: area.width - half - 1, ..panels };
        self.draw_ends(frame, [left, right], false);
        let bar = if self.look.ascii { "|" } else { "│" };
        for y in panels.y..panels.bottom() {
            frame.buffer_mut().set_string(panels.x + half, y, bar, Style::new());
        }
    }

    /// The ladder in the middle, the ends on both sides.
    fn draw_wide(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let side = ((area.width - 80) / 2).min(44);
        let column = |x: u16, width: u16| Rect { x: area.x + x, width, ..area };
        let middle = column(side + 1, area.width - 2 * side - 2);
        let words = 3;
        self.draw_ladder(frame, Rect { height: area.height - words, ..middle });
        self.draw_words(frame, Rect { y: area.bottom() - words, height: words, ..middle });
        let ends = [column(1, side - 1), column(area.width - side + 1, side - 1)];
        self.draw_ends(frame, ends, true);
    }

    fn draw_ladder(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let height = usize::from(area.height);
        self.page = height.max(1);
        let (place, listed) = (self.place(), self.listed());
        // The cursor stays on the screen, a row away from its edges where there are more rows.
        let margin = usize::from(height > 4);
        if place < self.top + margin {
            self.top = place.saturating_sub(margin);
        }
        if place + margin >= self.top + height {
            self.top = place + margin + 1 - height;
        }
        self.top = self.top.min(listed.saturating_sub(height));
        let columns = rows::Columns::new(area.width.into(), self.model.flows.len());
        let lines = (self.top..listed.min(self.top + height)).map(|place| {
            let row = self.row_at(place);
            rows::line(&self.model, &self.model.rows[row], row == self.cursor, columns, self.look)
        });
        let lines: Vec<_> = lines.collect();
        frame.render_widget(Paragraph::new(lines), area);
    }

    /// What is said of the row at the cursor.
    fn draw_words(&self, frame: &mut Frame<'_>, area: Rect) {
        let text = rows::words(&self.model, self.cursor);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut lines = wrapped(&self.look.safe(&text), usize::from(area.width).saturating_sub(2));
        if lines.len() > area.height.into() {
            lines.truncate(area.height.into());
            if let Some(last) = lines.last_mut() {
                *last =
                    fitted(&format!("{last} more: press Enter for all of it"), usize::from(area.width) - 2, self.look);
            }
        }
        let lines: Vec<_> = lines.into_iter().map(|line| Line::styled(format!(" {line}"), bold)).collect();
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn draw_ends(&self, frame: &mut Frame<'_>, areas: [Rect; 2], tall: bool) {
        let Some((flow, ends)) = self.model.ends_at(self.cursor) else { return };
        let now = self.model.rows.get(self.cursor).map_or(crate::time::Instant::EPOCH, |row: &Row| row.at);
        for (side, area) in Side::BOTH.into_iter().zip(areas) {
            let size = (usize::from(area.width), tall);
            let lines = panel::lines(&flow.ends[side], ends.end(side), now, size, self.look);
            frame.render_widget(Paragraph::new(lines), area);
        }
    }

    fn draw_view(&mut self, frame: &mut Frame<'_>, area: Rect, view: View) {
        let width = area.width.min(VIEW);
        let inside = usize::from(width) - 4;
        let (title, lines) = match view {
            View::Help => ("keys", help(inside, self.look)),
            View::Story => ("story", self.story(inside)),
            View::Packet => {
                let lines = packet::lines(&self.model, self.cursor);
                let wrap = |line: &String| {
                    if columns(line) <= inside { vec![line.clone()] } else { wrapped(line, inside) }
                };
                ("packet", lines.iter().map(|line| self.look.safe(line)).flat_map(|line| wrap(&line)).collect())
            }
        };
        let height = (lines.len() as u16).saturating_add(2).clamp(3, area.height);
        let page = usize::from(height) - 2;
        self.view_lines = (lines.len(), page);
        self.scroll = self.scroll.min(lines.len().saturating_sub(page));
        let popup =
            Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
        let end = (self.scroll + page).min(lines.len());
        let more = if lines.len() > page {
            format!(", lines {}-{end} of {}", self.scroll + 1, lines.len())
        } else {
            String::new()
        };
        let block = Block::bordered().title(format!(" {title}{more}, Esc closes "));
        let block = if self.look.ascii { block.border_set(ASCII_BORDER) } else { block };
        let shown: Vec<_> = lines[self.scroll..end].iter().map(|line| Line::raw(format!(" {line}"))).collect();
        frame.render_widget(Clear, popup);
        frame.render_widget(Paragraph::new(shown).block(block), popup);
    }

    fn story(&self, width: usize) -> Vec<String> {
        let Some(story) = &self.model.story else { return Vec::new() };
        let mut text = format!("{}\n\n{}", story.summary, story.story.trim_end());
        if !story.look.is_empty() {
            text.push_str("\n\nIn Wireshark:\n- ");
            text.push_str(&story.look.join("\n- "));
        }
        filled(&text, width).lines().map(|line| self.look.safe(line)).collect()
    }
}

const ASCII_BORDER: ratatui::symbols::border::Set<'static> = ratatui::symbols::border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Columns of the keys in the help.
const KEY: usize = 20;

/// The lines of the help: every key, and the signs.
fn help(width: usize, look: Look) -> Vec<String> {
    let mut all = Vec::new();
    let mut put = |name: &str, text: &str| {
        for (n, line) in wrapped(text, width.saturating_sub(KEY)).iter().enumerate() {
            all.push(format!("{:<KEY$}{line}", if n == 0 { name } else { "" }));
        }
    };
    for line in &KEYS {
        let names: Vec<_> = line.keys.iter().map(|(name, _)| *name).collect();
        put(&names.join(" "), line.does);
    }
    put("", "");
    put("~ -", "inferred, not told by the host; not known");
    let heads = if look.ascii { "X ~ =" } else { "✗ ≁ ═" };
    put(heads, "lost on the way, changed on the way, sent before");
    if !look.ascii {
        put("↠ ⇢ ⇉", "arrives twice, is held back, is sent ahead");
    }
    all
}
