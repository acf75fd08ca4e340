//! The page of `--html` and the course of `lessons --pages` in Chromium, headless, driven through chromedriver. Each test
//! opens pages that the command has just written, from disk. What the page must show is taken from `tcplab show --json`.
#![cfg(all(feature = "cli", target_os = "linux"))]

mod accessible;
mod browser;
#[path = "../common/mod.rs"]
mod common;
mod course;
mod driver;
mod hostile;
mod keyboard;
mod large;
mod pages;
#[path = "../common/programs.rs"]
mod programs;
mod sizes;
mod stepping;
mod zoom;
