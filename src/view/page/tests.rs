//! Pages as text: the same bytes twice, the hashes of the policy, hostile text, sizes.

use super::*;
use crate::capture::Record;
use crate::scenario::{Scenario, lessons};
use crate::segment::{Flags, SegmentTemplate};
use crate::time::Instant;
use crate::view::model::{Recorder, Story};

/// The page of a lesson.
fn lesson(name: &str) -> String {
    let scenario = Scenario::lesson(name).expect("a lesson");
    let world = scenario.build(scenario.seed()).expect("a network");
    let mut recorder = Recorder::default();
    recorder.name_hosts(world.names().iter().cloned());
    let recorder = world.observe(recorder);
    world.run();
    let (summary, story) = (scenario.summary().to_owned(), scenario.story().to_owned());
    let story = Story { summary, story, look: scenario.look().to_vec() };
    let model = Model::new(name, recorder.take()).with_story(story);
    page(&model, &Curves::default(), Place { topic: Some(scenario.topic()), in_course: true })
}

/// What stands between two texts.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).expect("its begin");
    rest.split_once(end).expect("its end").0
}

#[test]
fn a_page_has_the_same_bytes_each_time() {
    assert_eq!(lesson("sack"), lesson("sack"));
}

#[test]
fn the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else() {
    let page = lesson("handshake");
    assert!(page.starts_with(BEGINNING));
    let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    let style = frame::hash(between(&page, "<style>", "</style>"));
    let script = frame::hash(between(&page, "<script>", "</script>"));
    assert_eq!(policy, format!("default-src 'none'; style-src '{style}'; script-src '{script}'"));
    for forbidden in ["innerHTML", "eval(", " onclick", " onerror", "http://", "fetch("] {
        let script = between(&page, "<script>", "</script>").replace("http://www.w3.org/2000/svg", "");
        assert!(!script.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn text_from_outside_never_ends_a_script_and_begins_no_element() {
    let hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u{7}";
    let [src, dst] = ["192.0.2.1:1000", "192.0.2.2:80"].map(|end| end.parse().expect("an address"));
    let bytes = SegmentTemplate { flags: Flags::SYN, ..SegmentTemplate::new(src, dst) }.to_bytes();
    let mut recorder = Recorder::default();
    let record = Record::of_packet(1, Instant::EPOCH, &bytes, Some(hostile));
    recorder.record(&record, true);
    let story = Story { summary: hostile.to_owned(), story: hostile.to_owned(), look: vec![hostile.to_owned()] };
    let model = Model::new(hostile, recorder).with_story(story).with_notes(vec![hostile.to_owned()]);
    let page = page(&model, &Curves::default(), Place::default());
    assert_eq!(page.matches("<script").count(), 3, "data, bytes, script");
    assert_eq!(page.matches("</script").count(), 3);
    assert_eq!(page.matches("<img").count(), 0);
    assert!(page.contains("&lt;/script&gt;") && !page.contains('\u{7}'));
}

#[test]
fn the_page_of_each_lesson_has_at_most_400_kb() {
    for name in lessons() {
        let size = lesson(name).len();
        assert!(size <= 400_000, "{name}: {size} bytes");
    }
}

#[test]
fn the_course_lists_each_lesson_and_its_questions_name_lessons_that_exist() {
    let entries: Vec<_> = lessons()
        .map(|name| {
            let lesson = Scenario::lesson(name).expect("a lesson");
            Entry { name: name.to_owned(), topic: lesson.topic().to_owned(), summary: lesson.summary().to_owned() }
        })
        .collect();
    let text = index(&entries);
    for entry in &entries {
        let link = format!("<li><a href=\"{0}.html\">{0}</a>: ", entry.name);
        assert_eq!(text.matches(&link).count(), 1, "{}", entry.name);
    }
    for name in index::QUESTIONS.iter().flat_map(|(_, names)| *names) {
        assert!(entries.iter().any(|entry| entry.name == *name), "{name}");
    }
    assert!(!text.contains("<script"));
}
