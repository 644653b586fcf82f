//! Base64 (RFC 4648), writing only: for Basic proxy authentication and for PKCE.

/// With `+`, `/` and padding (RFC 4648, section 4).
pub fn standard(bytes: &[u8]) -> String {
    let mut text = encode(
        bytes,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    );
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// With `-` and `_` and no padding (RFC 4648, section 5; RFC 7636, appendix A).
pub fn url_safe(bytes: &[u8]) -> String {
    encode(
        bytes,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    )
}

fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .zip([16, 8, 0])
            .fold(0, |bits, (&byte, shift)| bits | u32::from(byte) << shift);
        // n bytes make n + 1 characters.
        for shift in [18, 12, 6, 0].into_iter().take(group.len() + 1) {
            text.push(char::from(alphabet[(bits >> shift & 63) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], with_padding: &str, for_urls: &str) {
        assert_eq!(
            (standard(bytes).as_str(), url_safe(bytes).as_str()),
            (with_padding, for_urls)
        );
    }

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        check(b"", "", "");
        check(b"f", "Zg==", "Zg");
        check(b"fo", "Zm8=", "Zm8");
        check(b"foo", "Zm9v", "Zm9v");
        check(b"foob", "Zm9vYg==", "Zm9vYg");
        check(b"fooba", "Zm9vYmE=", "Zm9vYmE");
        check(b"foobar", "Zm9vYmFy", "Zm9vYmFy");
    }

    #[test]
    fn the_alphabets_differ_in_their_last_two_characters() {
        check(&[0xfb, 0xef, 0xff], "++//", "--__");
    }
}
