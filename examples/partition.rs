//! A protocol of one's own under a partition: three nodes elect a leader over UDP, in terms, by majority, as in Raft. The
//! link of the leader goes down for three seconds; the others elect another one, and when the link is up again the old
//! leader gives way. At no time are there two leaders of one term.
//!
//! `cargo run --example partition` prints who led when; `cargo test --example partition` runs the test at the end.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tcplab::net::{Net, UdpSocket};
use tcplab::sim::Sim;
use tcplab::time::{Duration, Instant};

const HEARTBEAT: Duration = Duration::from_millis(50);

/// Who became a leader or ceased to be one, when, and of which term.
type Story = Rc<RefCell<Vec<(Instant, usize, u64, bool)>>>;

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Follower,
    Candidate { votes: usize },
    Leader,
}

/// One node. It knows nothing of the simulator: sockets and the time are those of its host.
async fn node(net: Net, me: usize, peers: [SocketAddr; 3], story: Story) -> io::Result<()> {
    let socket = UdpSocket::bind(&net, peers[me])?;
    let patience = Duration::from_millis(300 + 100 * me as u64);
    let (mut role, mut term, mut voted) = (Role::Follower, 0, 0);
    let mut elect_at = net.now() + patience;
    let tell = |lead, term| story.borrow_mut().push((net.now(), me, term, lead));
    let to_all = async |message: String| {
        for (_, peer) in peers.iter().enumerate().filter(|(node, _)| *node != me) {
            socket.send_to(message.as_bytes(), *peer).await?;
        }
        io::Result::Ok(())
    };
    loop {
        let until = if role == Role::Leader { net.now() + HEARTBEAT } else { elect_at };
        let mut buf = [0; 64];
        let Ok(received) = net.timeout(until - net.now(), socket.recv_from(&mut buf)).await else {
            if role == Role::Leader {
                to_all(format!("lead {term}")).await?;
            } else {
                term += 1;
                (role, voted, elect_at) = (Role::Candidate { votes: 1 }, term, net.now() + patience);
                to_all(format!("vote {term}")).await?;
            }
            continue;
        };
        let (len, from) = received?;
        let text = String::from_utf8_lossy(&buf[..len]).into_owned();
        let Some((what, of)) = text.split_once(' ').and_then(|(what, of)| Some((what, of.parse::<u64>().ok()?))) else {
            continue;
        };
        if of > term {
            if role == Role::Leader {
                tell(false, term);
            }
            (role, term) = (Role::Follower, of);
        }
        match (what, role) {
            ("lead", _) if of == term => elect_at = net.now() + patience,
            ("lead", _) => drop(socket.send_to(format!("late {term}").as_bytes(), from).await?),
            ("vote", _) if of == term && voted < term => {
                (voted, elect_at) = (term, net.now() + patience);
                socket.send_to(format!("granted {term}").as_bytes(), from).await?;
            }
            ("granted", Role::Candidate { votes }) if of == term => {
                role = Role::Candidate { votes: votes + 1 };
                if (votes + 1) * 2 > peers.len() {
                    role = Role::Leader;
                    tell(true, term);
                    to_all(format!("lead {term}")).await?;
                }
            }
            _ => {}
        }
    }
}

/// Ten seconds of three nodes around a router; the link of the first is as `link` says.
fn run(seed: u64, link: &str) -> Vec<(Instant, usize, u64, bool)> {
    let sim = Sim::seeded(seed);
    sim.router("middle");
    let story = Story::default();
    let peers = [1, 2, 3].map(|n| SocketAddr::new([10, 0, n, 1].into(), 700));
    for (me, peer) in peers.iter().enumerate() {
        let name = format!("node{me}");
        let host = sim.host(&name, &format!("{}/24", peer.ip()));
        sim.link(&name, "middle", if me == 0 { link } else { "delay=5ms,jitter=2ms:pareto,loss=1%" });
        let story = Rc::clone(&story);
        host.spawn_daemon(async move |net| node(net, me, peers, story).await);
    }
    sim.run_for(Duration::from_secs(10));
    story.take()
}

fn main() {
    for (at, node, term, leads) in run(7, "delay=5ms,down=2s..5s") {
        println!("{at} node {node} {} term {term}", if leads { "leads" } else { "gives way in" });
    }
}

#[test]
fn there_is_never_a_second_leader_of_a_term_and_after_the_partition_there_is_one() {
    let link = "delay=5ms,jitter=2ms:pareto,loss=1%,down=2s..5s";
    for seed in 1..=50 {
        let story = run(seed, link);
        let mut terms: Vec<_> = story.iter().filter(|(.., leads)| *leads).map(|(_, _, term, _)| *term).collect();
        terms.dedup();
        assert!(terms.is_sorted_by(|one, next| one < next), "seed {seed}: two leaders of one term: {story:?}");
        let during = story.iter().find(|(at, _, _, leads)| *leads && *at > Instant::from_secs(2));
        let (at, node, ..) = during.expect("another leader");
        assert!(
            *node != 0 && *at < Instant::from_secs(4),
            "seed {seed}: the majority elects one of its own: {story:?}"
        );
        let gave_way = story.iter().find(|(_, node, _, leads)| *node == 0 && !*leads);
        let (at, ..) = gave_way.unwrap_or_else(|| panic!("seed {seed}: the old leader still leads: {story:?}"));
        assert!((5_000..5_500).contains(&at.as_millis()), "seed {seed}: {story:?}");
    }
    assert_eq!(run(7, link), run(7, link));
}
