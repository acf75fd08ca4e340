//! What a request is answered with, without a connection.

use super::*;
use hyper::body::Body;

fn get(source: &Source, path: &str, range: &str) -> Response<ResponseBody> {
    let mut request = Request::new(());
    *request.uri_mut() = path.parse().expect("a URI");
    if !range.is_empty() {
        request.headers_mut().insert(header::RANGE, range.parse().expect("a field value"));
    }
    download(source, &request)
}

fn field<'a>(response: &'a Response<ResponseBody>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("ASCII"))
}

#[test]
fn a_generated_file_is_there_under_every_path() {
    let response = get(&Source::Size(5_000_000_000), "/any/thing?x=1", "");
    assert_eq!(response.status(), 200);
    assert_eq!(response.body().size_hint().exact(), Some(5_000_000_000));
    let head = without_body(response);
    assert_eq!((field(&head, "content-length"), head.body().size_hint().exact()), ("5000000000", Some(0)));
    assert_eq!(field(&head, "date"), "");
}

#[test]
fn a_range_is_answered_with_its_place() {
    let source = Source::Size(1000);
    let part = get(&source, "/", "bytes=990-");
    assert_eq!((part.status().as_u16(), field(&part, "content-range")), (206, "bytes 990-999/1000"));
    assert_eq!(part.body().size_hint().exact(), Some(10));
    let none = get(&source, "/", "bytes=1000-");
    assert_eq!((none.status().as_u16(), field(&none, "content-range")), (416, "bytes */1000"));

    let mut request = Request::new(());
    request.headers_mut().insert(header::RANGE, HeaderValue::from_static("bytes=0-1"));
    request.headers_mut().insert(header::IF_RANGE, HeaderValue::from_static("\"tag\""));
    assert_eq!(download(&source, &request).status(), 200);
}

#[test]
fn a_directory_gives_files_listings_and_refusals() {
    let dir = std::env::temp_dir().join(format!("tcplab-http-{}", std::process::id()));
    fs::create_dir_all(dir.join("sub/deep")).unwrap();
    fs::create_dir_all(dir.join("page")).unwrap();
    fs::write(dir.join("sub/b.json"), "{}").unwrap();
    fs::write(dir.join("sub/a.txt"), "text").unwrap();
    fs::write(dir.join("page/index.html"), "<p>").unwrap();
    let source = Source::Dir(dir.clone());

    let listing = get(&source, "/sub", "");
    assert!(matches!(listing.body(), ResponseBody::Text(text) if text == "a.txt\nb.json\ndeep/\n"), "{listing:?}");
    let index = get(&source, "/page/", "");
    assert_eq!(
        (index.body().size_hint().exact(), field(&index, "content-type")),
        (Some(3), "text/html; charset=utf-8")
    );
    let page = get(&source, "/page?q=1", "");
    assert_eq!((page.status().as_u16(), field(&page, "location")), (301, "/page/?q=1"));
    let page = get(&source, "//page", "");
    assert_eq!((page.status().as_u16(), field(&page, "location")), (301, "/page/"), "no other host is named");
    let json = get(&source, "/sub/b.json", "");
    assert_eq!((json.status().as_u16(), field(&json, "content-type")), (200, "application/json"));
    for (path, status) in [("/../x", 400), ("/sub%2fa.txt", 400), ("/none", 404), ("/sub/a.txt/", 404)] {
        assert_eq!(get(&source, path, "").status(), status, "{path}");
    }
    fs::remove_dir_all(&dir).unwrap();
}
