//! The tests' own tools (`tests/common`): they find what they are for.

use crate::common::{compare_golden, golden, note_left_out};
use std::fs;
use std::path::PathBuf;

fn scratch(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn a_golden_file_that_differs_is_shown_between_rulers_with_its_first_differing_line() {
    let path = scratch("differs.txt");
    compare_golden(&path, "one\ntwo\nthree\n", true).expect("blessed");
    compare_golden(&path, "one\ntwo\nthree\n", false).expect("the same text");
    let message = compare_golden(&path, "one\n2\nthree", false).expect_err("another text");
    let shown = message.split_once(" differs").map(|(_, shown)| shown).expect("the name comes first");
    golden("harness/difference.txt", &format!("{shown}\n"));
}

#[test]
fn a_last_newline_is_part_of_a_golden_file() {
    let path = scratch("newline.txt");
    compare_golden(&path, "one\n", true).expect("blessed");
    let message = compare_golden(&path, "one", false).expect_err("the newline is missing");
    assert!(message.contains("first in line 1:\n  expected \"one\\n\"\n  got      \"one\"\n"), "{message}");
}

#[test]
fn a_missing_golden_file_is_a_failure_that_names_the_next_step() {
    let message = compare_golden(&scratch("missing.txt"), "one\n", false).expect_err("nothing to compare with");
    assert!(message.contains("missing.txt") && message.contains("make bless"), "{message}");
}

#[test]
fn what_is_left_out_is_listed_line_by_line() {
    let list = scratch("left-out.txt");
    note_left_out(Some(&list), false, "captures read by tshark", "make deps").expect("listed");
    note_left_out(Some(&list), false, "the TUN device", "run as root").expect("listed");
    let text = fs::read_to_string(&list).expect("the list");
    assert_eq!(text, "left out: captures read by tshark (make deps)\nleft out: the TUN device (run as root)\n");
}

#[test]
fn leaving_out_fails_where_all_is_required() {
    let list = scratch("required.txt");
    let refusal = note_left_out(Some(&list), true, "the TUN device", "run as root").expect_err("refused");
    assert!(refusal.contains("the TUN device (run as root)"), "{refusal}");
    assert!(!list.exists());
}
