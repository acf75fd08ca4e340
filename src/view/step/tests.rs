//! Screens in memory: what they show, at every size, with and without colours, after any keys.

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyEvent;

use super::*;
use crate::capture::Record;
use crate::scenario::Scenario;
use crate::segment::{Flags, SegmentTemplate};
use crate::time::Instant;
use crate::trace::Content;
use crate::trace::ends::Ends;
use crate::view::model::{Packets, Recorder, Story};

const LOOK: Look = Look { color: false, ascii: false };

/// A lesson, as `tcplab step` shows it.
fn lesson(name: &str) -> Model {
    let scenario = Scenario::lesson(name).expect("a lesson");
    let world = scenario.build(scenario.seed()).expect("a network");
    let mut recorder = Recorder::with_limit(usize::MAX);
    recorder.name_hosts(world.names().iter().cloned());
    let recorder = world.observe(recorder);
    world.run();
    let (summary, story) = (scenario.summary().to_owned(), scenario.story().to_owned());
    let story = Story { summary, story, look: Vec::new() };
    Model::new(name, recorder.take()).with_story(story)
}

/// A capture of one SYN with this comment.
fn capture(comment: &str) -> Model {
    let [src, dst] = ["192.0.2.1:1000", "192.0.2.2:80"].map(|end| end.parse().expect("an address"));
    let bytes = SegmentTemplate { flags: Flags::SYN, ..SegmentTemplate::new(src, dst) }.to_bytes();
    let record = Record::of_packet(1, Instant::EPOCH, &bytes, Some(comment));
    let mut recorder = Recorder::default();
    recorder.record(&record, false);
    Model::new(comment, recorder)
}

/// What stands on a screen of this size.
fn terminal(screen: &mut Screen, (width, height): (u16, u16)) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
    terminal.draw(|frame| screen.draw(frame)).expect("it is drawn");
    terminal
}

fn text(screen: &mut Screen, size: (u16, u16)) -> Vec<String> {
    let terminal = terminal(screen, size);
    let buffer = terminal.backend().buffer();
    let line = |y: u16| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..size.1).map(line).collect()
}

fn press(screen: &mut Screen, key: KeyCode) -> Next {
    screen.key(&KeyEvent::new(key, KeyModifiers::NONE))
}

fn keys(screen: &mut Screen, keys: &str) {
    keys.chars().for_each(|key| _ = press(screen, KeyCode::Char(key)));
}

#[test]
fn a_key_stands_in_the_table_once_and_the_page_has_the_same_table() {
    let mut names: Vec<_> = KEYS.iter().flat_map(|line| line.keys).map(|(name, _)| *name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    let row = |line: &keys::Line| {
        let names: Vec<_> = line.keys.iter().map(|(name, _)| format!("`{name}`")).collect();
        format!("| {} | {} |", names.join(" "), line.does)
    };
    let page = include_str!("../../../docs/views.md");
    let (_, table) = page.split_once("| key | what it does |\n|---|---|\n").expect("the table of keys");
    let on_page: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(on_page, KEYS.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn a_lesson_opens_with_its_story_and_then_shows_the_ladder_and_both_ends() {
    let mut screen = Screen::new(lesson("lost-data"), Some("loss"), LOOK);
    let shown = text(&mut screen, (80, 24));
    assert!(shown[0].ends_with("step 19/39  packet 5"), "{shown:#?}");
    assert!(shown[2].starts_with("┌ story") && shown[3].contains("The last segment is lost"), "{shown:#?}");
    press(&mut screen, KeyCode::Esc);
    let shown = text(&mut screen, (80, 24));
    let at_cursor: Vec<_> = shown.iter().filter(|line| line.starts_with('>')).collect();
    assert_eq!(at_cursor, [">   0.140000              │── PSH|ACK 101:201 ack 1 (100) ✗       │"]);
    let has = |line: &str| assert!(shown.iter().any(|shown| shown.starts_with(line)), "{line}: {shown:#?}");
    has(" packet 5: data 101:201 (from write) [lost: scripted]");
    has("SND una 101 nxt 201 wnd 65408           │SND una 1 nxt 1 wnd 65408");
    has("timer ~retransmission, due in 240.0 ms  │timer -");
    has("«───────✗✗✗✗✗✗✗✗✗✗✗✗✗✗✗···············» │[·····································]");
}

#[test]
fn a_lesson_opens_where_it_is_about_something() {
    let opens = |name: &str| {
        let model = lesson(name);
        let row = model.opening_row(Scenario::lesson(name).expect("a lesson").topic());
        match model.step_of(row).map(|step| &step.content) {
            Some(Content::Segment(segment)) => super::super::label::describe(segment),
            other => panic!("{name}: {other:?}"),
        }
    };
    assert!(opens("handshake").starts_with("SYN 0:1"));
    assert!(opens("close").starts_with("FIN|ACK"));
    assert!(opens("data").contains("1:101"));
    assert!(opens("zero-window").ends_with("win 0"));
}

#[test]
fn below_the_least_size_it_says_what_it_needs() {
    let mut screen = Screen::new(lesson("handshake"), None, LOOK);
    let fits = |screen: &mut Screen, size| text(screen, size)[0].starts_with(" tcplab step handshake");
    assert!(fits(&mut screen, (60, 16)));
    for size in [(59, 16), (60, 15), (20, 3)] {
        assert!(!fits(&mut screen, size));
        let said = text(&mut screen, size).concat();
        assert!(
            said.starts_with("tcplab step needs 60") && size.0 < 59 || said.contains("60 columns and 16 rows"),
            "{said}"
        );
    }
}

#[test]
fn nothing_is_said_by_colour_alone_and_without_colours_there_are_none() {
    let mut colors = Vec::new();
    for color in [true, false] {
        let mut screen = Screen::new(lesson("sack"), Some("loss"), Look { color, ascii: false });
        press(&mut screen, KeyCode::Esc);
        let terminal = terminal(&mut screen, (80, 24));
        let cells = terminal.backend().buffer().content();
        let used: Vec<_> =
            cells.iter().flat_map(|cell| [cell.fg, cell.bg]).filter(|color| *color != Color::Reset).collect();
        assert_eq!(used.is_empty(), !color);
        assert!(!used.iter().any(|color| matches!(color, Color::Rgb(..) | Color::Indexed(_))), "only the 16");
        colors.push(text(&mut screen, (80, 24)));
    }
    assert_eq!(colors[0], colors[1], "the text is the same");
    assert!(colors[0].iter().any(|line| line.starts_with('>') && line.contains('✗')));
}

#[test]
fn with_ascii_nothing_else_is_drawn() {
    let mut screen = Screen::new(lesson("sack"), Some("loss"), Look { color: false, ascii: true });
    for key in [KeyCode::Null, KeyCode::Esc, KeyCode::Enter, KeyCode::Char('?')] {
        press(&mut screen, key);
        for size in [(80, 24), (200, 60)] {
            let shown = text(&mut screen, size).concat();
            assert!(shown.is_ascii(), "{key:?}: {shown}");
        }
    }
}

#[test]
fn a_text_of_a_packet_or_a_file_does_not_command_the_terminal() {
    let mut screen = Screen::new(capture("\x1b[2J\x1b]0;title\x07\u{202e}abc\u{9b}5n"), None, LOOK);
    for key in [KeyCode::Null, KeyCode::Enter] {
        press(&mut screen, key);
        for size in [(80, 24), (200, 60)] {
            let shown = text(&mut screen, size).concat();
            assert!(shown.contains(r"\u{1b}[2J\u{1b}]0;title\u{7}"), "{shown}");
            assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
        }
    }
}

#[test]
fn of_a_capture_inferred_values_are_marked() {
    let mut screen = Screen::new(capture(""), None, LOOK);
    let shown = text(&mut screen, (80, 24));
    let has = |line: &str| assert!(shown.iter().any(|shown| shown.starts_with(line)), "{line}: {shown:#?}");
    has("~SYN-SENT                               │-");
    has("SND una 0 nxt 1 wnd -");
    has("cwnd - ssthresh -");
}

#[test]
fn l_goes_to_each_loss_and_r_to_each_retransmission() {
    for (key, back, what) in [('l', 'L', "loss"), ('r', 'R', "retransmission")] {
        let model = lesson("limited-transmit");
        let wanted = |row: &usize| match model.step_of(*row).map(|step| &step.content) {
            Some(Content::Segment(segment)) if key == 'l' => segment.tag.is_some_and(crate::annotate::Tag::is_loss),
            Some(Content::Segment(segment)) => segment.words.contains("retransmission"),
            _ => false,
        };
        let expected: Vec<_> = (0..model.rows.len()).filter(wanted).collect();
        assert!(expected.len() > 1, "{what}: {expected:?}");
        let mut screen = Screen::new(model, None, LOOK);
        let mut visit = |key: char| {
            let mut visited = Vec::new();
            loop {
                keys(&mut screen, &key.to_string());
                if !screen.message.is_empty() {
                    break;
                }
                visited.push(screen.cursor);
            }
            assert!(screen.message.ends_with(what), "{}", screen.message);
            keys(&mut screen, if key.is_lowercase() { "G" } else { "g" });
            visited
        };
        assert_eq!(visit(key), expected);
        let mut backwards = visit(back);
        backwards.reverse();
        assert_eq!(backwards, expected);
    }
}

#[test]
fn a_filter_shows_one_connection_and_a_search_finds_a_packet_in_it() {
    let model = lesson("limited-transmit");
    assert!(model.flows.len() > 1);
    let (all, first) = (model.rows.len(), model.flows[0].rows.clone());
    let other = model.packet_of(*model.flows[1].rows.iter().find(|row| model.packet_of(**row).is_some()).unwrap());
    let mut screen = Screen::new(model, None, LOOK);
    screen.cursor = first[0];
    keys(&mut screen, "f");
    assert_eq!(screen.listed(), first.len());
    keys(&mut screen, "G");
    assert_eq!(Some(&screen.cursor), first.last());
    let search = |screen: &mut Screen, number: u64| {
        keys(screen, &format!("/x{number}"));
        press(screen, KeyCode::Enter);
    };
    search(&mut screen, other.unwrap());
    assert_eq!(Some(&screen.cursor), first.last(), "{}", screen.message);
    assert!(screen.message.contains("is not of this connection"));
    keys(&mut screen, "f");
    assert_eq!(screen.listed(), all);
    search(&mut screen, other.unwrap());
    assert_eq!(screen.model.packet_of(screen.cursor), other);
    search(&mut screen, 999_999);
    assert_eq!(screen.message, "there is no packet 999999");
    keys(&mut screen, "/qqq");
    press(&mut screen, KeyCode::Esc);
    assert!(screen.search.is_none());
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Next::Quit);
}

#[test]
fn both_ends_at_a_row_are_those_of_a_fold_from_the_beginning() {
    let model = lesson("slow-start");
    let rows = &model.flows[0].rows;
    assert!(model.flows[0].folds.len() > 1, "there is more than one stored fold");
    let mut fold = Ends::new();
    let mut next = 0;
    for row in rows {
        let end = model.step_place(*row);
        while next <= end {
            let step = model.step(next).expect("a step");
            if step.flow == Some(0) {
                fold.take(step);
            }
            next += 1;
        }
        let (_, ends) = model.ends_at(*row).expect("a flow");
        assert_eq!(format!("{ends:?}"), format!("{fold:?}"));
    }
}

#[test]
fn of_a_long_packet_4096_bytes_are_kept() {
    let mut packets = Packets::default();
    packets.keep(1, &[7; 4096]);
    packets.keep(2, &[7; 4097]);
    packets.keep(1, &[8; 10]);
    assert_eq!([1, 2, 3].map(|number| packets.of(number).map(<[u8]>::len)), [Some(4096), Some(4096), None]);
    assert_eq!(packets.of(1).map(|bytes| bytes[0]), Some(7), "the first stays");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_keys_at_any_size_leave_the_cursor_on_a_row(
        pressed in prop::collection::vec((0..30_usize, (0..230_u16, 0..70_u16)), 1..30),
    ) {
        let codes: Vec<_> = "jkbgGlLrRsSf/t?5 q".chars().map(KeyCode::Char).chain([
            KeyCode::Right, KeyCode::Left, KeyCode::PageDown, KeyCode::PageUp, KeyCode::Home, KeyCode::End,
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Backspace, KeyCode::F(1),
        ]).collect();
        let mut screen = Screen::new(capture_of_two(), None, LOOK);
        for (key, size) in pressed {
            press(&mut screen, codes[key % codes.len()]);
            prop_assert!(screen.cursor < screen.model.rows.len());
            terminal(&mut screen, (size.0.max(1), size.1.max(1)));
        }
    }
}

/// Packets of two connections.
fn capture_of_two() -> Model {
    let mut recorder = Recorder::default();
    let ends = ["192.0.2.1:1000", "192.0.2.1:1001", "192.0.2.2:80"].map(|end| end.parse().expect("an address"));
    for number in 1..=40_u64 {
        let (src, flags) = (ends[(number % 2) as usize], if number < 3 { Flags::SYN } else { Flags::ACK });
        let payload = vec![b'x'; (number % 5) as usize];
        let mut template = SegmentTemplate { flags, payload: &payload, ..SegmentTemplate::new(src, ends[2]) };
        template.seq = crate::segment::Seq((number / 3 * 5) as u32);
        let bytes = template.to_bytes();
        let record = Record::of_packet(number, Instant::from_millis(number), &bytes, None);
        recorder.record(&record, false);
    }
    Model::new("two.pcap", recorder)
}
