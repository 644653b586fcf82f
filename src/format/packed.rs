//! Texts that the program carries and hardly ever shows, in a third of their room.
//!
//! What came before is not written again: a byte below 128 says how many bytes follow that stand for themselves, less
//! one; a byte from 128 on how many to repeat, and two bytes behind it from how far back. `pack` is for the tests, which
//! make what is carried.

/// A shorter repetition would take as much room as what it repeats. Bytes.
const REPEATED_MIN: usize = 4;

/// What was packed; of bytes that do not come from `pack`, something.
pub fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = packed;
    while let [head, after @ ..] = rest {
        rest = after;
        if *head < 128 {
            let count = usize::from(*head) + 1;
            let (own, after) = rest.split_at(count.min(rest.len()));
            text.extend_from_slice(own);
            rest = after;
        } else if let [low, high, after @ ..] = rest {
            let back = usize::from(u16::from_le_bytes([*low, *high]));
            for _ in 128..usize::from(*head) + REPEATED_MIN {
                let from = text.len().checked_sub(back);
                text.extend(from.and_then(|from| text.get(from)).copied());
            }
            rest = after;
        }
    }
    text
}

/// At most 64 kB.
#[cfg(test)]
pub fn pack(text: &[u8]) -> Vec<u8> {
    const REPEATED_MAX: usize = 127 + REPEATED_MIN;
    let byte = |number: usize| u8::try_from(number).expect("below 256");
    let (mut packed, mut own, mut at) = (Vec::new(), Vec::new(), 0);
    let flush = |own: &mut Vec<u8>, packed: &mut Vec<u8>| {
        for run in own.chunks(128) {
            packed.push(byte(run.len() - 1));
            packed.extend(run);
        }
        own.clear();
    };
    let longest = |at: usize| {
        let length = |from: usize| {
            let pairs = text[from..].iter().zip(text.get(at..).unwrap_or_default());
            pairs
                .take(REPEATED_MAX)
                .take_while(|(one, other)| one == other)
                .count()
        };
        (0..at)
            .filter(|from| text.get(*from) == text.get(at))
            .map(|from| (length(from), from))
            .max()
            .unwrap_or((0, 0))
    };
    let mut here = longest(0);
    while at < text.len() {
        let (length, from) = here;
        let next = longest(at + 1);
        // One more byte that stands for itself may be what a longer repetition needs.
        if length < REPEATED_MIN || next.0 > length {
            own.push(text[at]);
            at += 1;
            here = next;
            continue;
        }
        flush(&mut own, &mut packed);
        packed.push(byte(128 + length - REPEATED_MIN));
        packed.extend(
            u16::try_from(at - from)
                .expect("at most 64 kB")
                .to_le_bytes(),
        );
        at += length;
        here = longest(at);
    }
    flush(&mut own, &mut packed);
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let long: String = (0..400).map(|n| format!("{n} ")).collect();
        for text in [
            "",
            "a",
            "abcdabcdabcdabcd",
            "aaaaaaaaaaaaaaaaaaa",
            "日本日本日本",
            &long,
            &"x".repeat(1000),
        ] {
            let packed = pack(text.as_bytes());
            assert_eq!(unpack(&packed), text.as_bytes(), "{text}");
        }
        assert!(pack("x".repeat(1000).as_bytes()).len() < 40);
    }

    #[test]
    fn whatever_the_bytes_are_there_is_an_end() {
        let all = |bytes: &[u8]| unpack(bytes).len();
        assert_eq!(
            (
                all(&[5, b'a']),
                all(&[128]),
                all(&[128, 0]),
                all(&[128, 9, 9])
            ),
            (1, 0, 0, 0)
        );
        assert_eq!(unpack(&[0, b'a', 129, 1, 0]), b"aaaaaa");
        for first in 0..=255 {
            for second in 0..=255 {
                assert!(all(&[first, second, first, second]) <= 2 * (255 + REPEATED_MIN));
            }
        }
    }
}
