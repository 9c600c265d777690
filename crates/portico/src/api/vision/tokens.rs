//! How many tokens a picture will be to the model.

/// Side of the square that becomes one token: 16 pixels a patch, 2 × 2 patches merged.
const SIDE: f64 = 32.0;
const LEAST_AREA_PIXELS: f64 = 65_536.0;
const GREATEST_AREA_PIXELS: f64 = 16_777_216.0;

/// Qwen3-VL's own arithmetic, with the area limits of its processor; for other models it is an estimate of the right
/// size. Rounds halves to even as the processor does: 3024 / 32 = 94.5 is 94.
pub(super) fn estimate(width: u32, height: u32) -> u64 {
    let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let rounded = |side: f64| (side / SIDE).round_ties_even().max(1.0);
    let (mut across, mut down) = (rounded(width), rounded(height));
    let area = across * down * SIDE * SIDE;
    if area > GREATEST_AREA_PIXELS {
        let shrink = (width * height / GREATEST_AREA_PIXELS).sqrt();
        let whole = |side: f64| (side / shrink / SIDE).floor().max(1.0);
        (across, down) = (whole(width), whole(height));
    } else if area < LEAST_AREA_PIXELS {
        let grow = (LEAST_AREA_PIXELS / (width * height)).sqrt();
        let whole = |side: f64| (side * grow / SIDE).ceil();
        (across, down) = (whole(width), whole(height));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, positive and below 2^32"
    )]
    let tokens = (across * down) as u64;
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_model() {
        for (width, height, tokens) in [
            (4032, 3024, 11_844),
            (2048, 1536, 3072),
            (1536, 1152, 1728),
            (1280, 960, 1200),
            (1920, 1080, 2040),
            (2560, 1440, 3600),
            (1240, 1754, 2145),
            (1654, 2339, 3796),
            (256, 256, 64),
            (64, 64, 64),
            (28, 28, 64),
            (96, 64, 70),
            (4096, 4096, 16_384),
            (8000, 5000, 16_261),
        ] {
            assert_eq!(estimate(width, height), tokens, "{width} x {height}");
        }
    }

    #[test]
    fn extremes_stay_within_what_a_context_holds() {
        for width in [1, 27, 28, 31, 4096, 65_535, u32::MAX] {
            for height in [1, 33, 5000, u32::MAX] {
                let tokens = estimate(width, height);
                assert!((1..=1 << 28).contains(&tokens), "{width} x {height}: {tokens}");
            }
        }
    }
}
