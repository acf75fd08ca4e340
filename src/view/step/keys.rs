//! The keys of the terminal UI, once: what a key does, and what the help says of it. `Screen` looks keys up here and draws
//! its help from here. A test drives every key through tmux by the help on the screen.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Forward,
    Back,
    Down,
    Up,
    PageDown,
    PageUp,
    First,
    Last,
    NextLoss,
    PreviousLoss,
    NextAgain,
    PreviousAgain,
    NextState,
    PreviousState,
    Filter,
    NextFlow,
    PreviousFlow,
    Search,
    Packet,
    Story,
    Help,
    Close,
    Quit,
}

/// One line of the help: keys, what each asks for, and what that is.
pub(super) struct Line {
    pub(super) keys: &'static [(&'static str, Action)],
    pub(super) does: &'static str,
}

const fn line(keys: &'static [(&'static str, Action)], does: &'static str) -> Line {
    Line { keys, does }
}

/// Every key.
pub(super) const KEYS: [Line; 16] = [
    line(&[("Right", Action::Forward), ("Left", Action::Back)], "one step forward, one step back"),
    line(
        &[("Down", Action::Down), ("j", Action::Down), ("Up", Action::Up), ("k", Action::Up)],
        "the same; where a view is open, one line down, up",
    ),
    line(
        &[("PgDn", Action::PageDown), ("Space", Action::PageDown), ("PgUp", Action::PageUp), ("b", Action::PageUp)],
        "one page forward, one page back",
    ),
    line(
        &[("Home", Action::First), ("g", Action::First), ("End", Action::Last), ("G", Action::Last)],
        "the first, the last",
    ),
    line(&[("l", Action::NextLoss), ("L", Action::PreviousLoss)], "the next, the previous loss"),
    line(&[("r", Action::NextAgain), ("R", Action::PreviousAgain)], "the next, the previous retransmission"),
    line(&[("s", Action::NextState), ("S", Action::PreviousState)], "the next, the previous change of a state"),
    line(&[("f", Action::Filter)], "only the connection at the cursor; again: all"),
    line(
        &[("Tab", Action::NextFlow), ("Shift-Tab", Action::PreviousFlow)],
        "the first step of the next, the previous connection",
    ),
    line(&[("/", Action::Search)], "go to a packet: type its number, then Enter"),
    line(&[("Enter", Action::Packet)], "the packet: fields, options, bytes; again: close"),
    line(&[("t", Action::Story)], "the story of a lesson; again: close"),
    line(&[("?", Action::Help)], "this help; again: close"),
    line(&[("Esc", Action::Close)], "close what is open, end the search"),
    line(&[("q", Action::Quit)], "quit"),
    line(&[("Ctrl-C", Action::Quit)], "quit"),
];

/// What a key asks for, if anything.
pub(super) fn action(event: &KeyEvent) -> Option<Action> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let name = name(event)?;
    KEYS.iter().flat_map(|line| line.keys).find(|(key, _)| *key == name).map(|(_, action)| *action)
}

/// The name of a key, as the help has it.
fn name(event: &KeyEvent) -> Option<String> {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    Some(match event.code {
        KeyCode::Char(c) if control => format!("Ctrl-{}", c.to_ascii_uppercase()),
        KeyCode::Char(' ') => "Space".to_owned(),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::Right => "Right".to_owned(),
        KeyCode::Left => "Left".to_owned(),
        KeyCode::Down => "Down".to_owned(),
        KeyCode::Up => "Up".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::Home => "Home".to_owned(),
        KeyCode::End => "End".to_owned(),
        KeyCode::Enter => "Enter".to_owned(),
        KeyCode::Esc => "Esc".to_owned(),
        KeyCode::Tab => "Tab".to_owned(),
        KeyCode::BackTab => "Shift-Tab".to_owned(),
        _ => return None,
    })
}
