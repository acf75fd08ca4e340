//! One random run: what both sides do, the path between them, and how it changes. All follows from the seed.

use core::time::Duration;
use std::fmt::Write as _;

use tcplab::congestion;
use tcplab::rng::Rng;
use tcplab::socket::HostConfig;

/// What one side does.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) sends: usize,
    /// The most bytes of one write and of one read.
    pub(crate) chunk: usize,
    /// Sleeps between two writes, and between two reads.
    pub(crate) pauses: [Duration; 2],
    pub(crate) nodelay: bool,
    pub(crate) max_seg: Option<u16>,
    /// `SO_RCVBUF` after so many reads.
    pub(crate) rcv_bufs: Vec<(usize, usize)>,
    /// Ends its direction as soon as everything is written; otherwise when the other side has ended.
    pub(crate) ends_first: bool,
    /// Closes with an RST after so many bytes are written.
    pub(crate) aborts_after: Option<usize>,
    pub(crate) config: HostConfig,
}

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) v6: bool,
    /// The link of the client; behind a router there is another one to the server.
    pub(crate) cable: String,
    pub(crate) behind: Option<String>,
    /// The router sends ICMP errors.
    pub(crate) icmp: bool,
    /// The last link has another spec from so many milliseconds on.
    pub(crate) changes: Vec<(u64, String)>,
    /// Hosts give up after a few retransmissions, or a side aborts: the run may end without all bytes.
    pub(crate) mortal: bool,
    pub(crate) sides: [Side; 2],
}

impl Case {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "streams");
        let v6 = rng.chance(0.3);
        let routed = rng.chance(0.3);
        let mut cable = cable(&mut rng, v6, !routed);
        if routed {
            // Two flipped bits could cancel each other in a checksum. Only one link on the way flips bits.
            cable = cable.split(',').filter(|item| !item.starts_with("corrupt")).collect::<Vec<_>>().join(",");
        }
        let behind = routed.then(|| self::cable(&mut rng, v6, true));
        let mut changes: Vec<_> =
            (0..rng.below(4)).map(|_| (20 + rng.below(3000), self::cable(&mut rng, v6, true))).collect();
        changes.sort_by_key(|(at, _)| *at);
        let mortal = rng.chance(0.1);
        let mut sides = [(); 2].map(|()| Side::new(&mut rng, v6, mortal));
        // Somebody has to begin.
        if !sides[0].ends_first && !sides[1].ends_first {
            sides[rng.below(2) as usize].ends_first = true;
        }
        if mortal && rng.chance(0.5) {
            let side = &mut sides[rng.below(2) as usize];
            side.aborts_after = Some(rng.below(side.sends as u64 + 1) as usize);
        }
        Self { seed, v6, cable, behind, icmp: rng.chance(0.5), changes, mortal, sides }
    }
}

fn cable(rng: &mut Rng, v6: bool, with_mtu: bool) -> String {
    let mut line = format!("delay={}ms", rng.below(40));
    let mut item = |rng: &mut Rng, key: &str, most: u64| {
        if rng.chance(0.5) {
            write!(line, ",{key}={}%", 1 + rng.below(most)).expect("text");
        }
    };
    item(rng, "loss", 15);
    item(rng, "reorder", 25);
    item(rng, "duplicate", 20);
    item(rng, "corrupt", 10);
    if rng.chance(0.3) {
        write!(line, ",rate={}kbit,limit={}", 200 + rng.below(5000), 3 + rng.below(50)).expect("text");
    }
    if with_mtu && rng.chance(0.3) {
        let mtu = if v6 { 1280 } else { [600, 1000, 1400][rng.below(3) as usize] };
        write!(line, ",mtu={mtu}").expect("text");
    }
    line
}

impl Side {
    fn new(rng: &mut Rng, v6: bool, mortal: bool) -> Self {
        let pick = |rng: &mut Rng, from: &[usize]| from[rng.below(from.len() as u64) as usize];
        let pause = |rng: &mut Rng| Duration::from_millis(if rng.chance(0.7) { 0 } else { rng.below(300) });
        let most = pick(rng, &[1, 100, 3000, 12_000]) as u64;
        let tries = |rng: &mut Rng, lasting: u32| if mortal { 1 + rng.below(5) as u32 } else { lasting };
        // A receive buffer below a segment makes a handful of bytes travel at a time.
        let buffers = [300, 2000, 5000, 65_535, 100_000];
        let config = HostConfig {
            mtu: if v6 { pick(rng, &[1280, 1500]) } else { pick(rng, &[576, 1500]) },
            rcv_buf: rng.chance(0.8).then(|| pick(rng, &buffers)),
            snd_buf: rng.chance(0.8).then(|| pick(rng, &[200, 1000, 4000, 65_536])),
            congestion: congestion::by_name(["none", "reno", "cubic", "bbr"][rng.below(4) as usize])
                .expect("a built-in controller"),
            pacing: rng.chance(0.2),
            timestamps: rng.chance(0.6),
            sack: rng.chance(0.7),
            dsack: rng.chance(0.8),
            window_scaling: rng.chance(0.8),
            ecn: rng.chance(0.2),
            rack: rng.chance(0.8),
            tlp: rng.chance(0.8),
            prr: rng.chance(0.8),
            frto: rng.chance(0.8),
            undo: rng.chance(0.8),
            limited_transmit: rng.chance(0.8),
            quick_acks: rng.below(17) as u32,
            ack_delay: [None, Some(Duration::from_millis(10)), Some(Duration::from_millis(200))][rng.below(3) as usize],
            syn_retries: tries(rng, 60),
            synack_retries: tries(rng, 60),
            retries: tries(rng, 200),
            orphan_retries: tries(rng, 200),
            time_wait: Duration::from_hours(10),
            ..HostConfig::default()
        };
        Self {
            sends: rng.below(most + 1) as usize,
            chunk: pick(rng, &[7, 300, 1460, 20_000]).max(most as usize / 200),
            pauses: [pause(rng), pause(rng)],
            nodelay: rng.chance(0.3),
            max_seg: rng.chance(0.3).then(|| 100 + rng.below(1300) as u16),
            rcv_bufs: (0..rng.below(3)).map(|_| (rng.below(20) as usize, pick(rng, &buffers))).collect(),
            ends_first: rng.chance(0.6),
            aborts_after: None,
            config,
        }
    }
}
