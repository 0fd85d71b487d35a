//! Images in a size and a form that every provider takes.
//!
//! Every image is decoded whole: a provider refuses one that is damaged, and with it the conversation for good.
//!
//! An image that is too large is scaled down for each run that shows it. The result is not stored: it would be an object that
//! no artifact refers to, with its own place in the tenant's storage and in deletions, for some hundred milliseconds.

use std::io::Cursor;

use bytes::Bytes;
use image::{
    AnimationDecoder, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits,
    codecs::{gif::GifDecoder, jpeg::JpegEncoder, webp::WebPDecoder},
};
use sequent_model::{FileBytes, FileType};

use crate::structure;

/// The longest edge in pixels: Anthropic takes 2,000 if a request has more than 20 images, and scales larger ones down
/// ("Vision"); OpenAI scales to 2,048 ("Images and vision").
const MAX_EDGE: u32 = 2_000;
/// Bytes of an image: 3.75 MB (Amazon Bedrock, "Message"), which are 5 MB in Base64 (Anthropic, "Vision").
const MAX_BYTES: usize = 3_750_000;
/// Pixels of an image that is decoded: those of the largest cameras of phones.
const MAX_PIXELS: u64 = 50_000_000;
/// Bytes of a decoded image, and those that a decoder may take beside it: four for each pixel. Some decoders take more, which
/// the child's own limit bounds.
const MAX_ALLOC: u64 = 4 * MAX_PIXELS;
const JPEG_QUALITY: u8 = 85;

/// Returns the image as it is, or scaled down. Returns `None` if it is damaged, incomplete or has too many pixels.
pub(crate) fn fit(file_type: FileType, bytes: &Bytes) -> Option<FileBytes> {
    let format = format(file_type)?;
    let reader = || {
        let mut reader = ImageReader::with_format(Cursor::new(bytes.as_ref()), format);
        reader.limits(limits());
        reader
    };
    let (width, height) = reader().into_dimensions().ok()?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS || !structure::is_complete(file_type, bytes) {
        return None;
    }
    let mut decoder = reader().into_decoder().ok()?;
    decoder.set_limits(limits()).ok()?;
    if decoder.total_bytes() > MAX_ALLOC {
        return None;
    }
    // The scaled image has no metadata, so it has to stand upright by itself.
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder).ok()?;
    let fits = width.max(height) <= MAX_EDGE && bytes.len() <= MAX_BYTES;
    if fits && !has_more_frames(file_type, bytes) {
        let shown = FileBytes::new(file_type, bytes.clone());
        return Some(shown.with_tokens(tokens(width, height)));
    }
    if image.width().max(image.height()) > MAX_EDGE {
        image = image.thumbnail(MAX_EDGE, MAX_EDGE);
    }
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    encode(image)
}

/// Encodes an image with transparency as PNG and any other as JPEG, as far as it fits.
fn encode(image: DynamicImage) -> Option<FileBytes> {
    let tokens = tokens(image.width(), image.height());
    let encoded = |file_type, bytes: Vec<u8>| FileBytes::new(file_type, bytes).with_tokens(tokens);
    if image.color().has_alpha() {
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).ok()?;
        if png.get_ref().len() <= MAX_BYTES {
            return Some(encoded(FileType::Png, png.into_inner()));
        }
    }
    let mut jpeg = Vec::new();
    let opaque = DynamicImage::ImageRgb8(image.into_rgb8());
    opaque.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)).ok()?;
    (jpeg.len() <= MAX_BYTES).then(|| encoded(FileType::Jpeg, jpeg))
}

/// Returns `true` for an animation, which OpenAI refuses ("Images and vision"), and for a GIF that ends after its first frame
/// without its trailer.
fn has_more_frames(file_type: FileType, bytes: &Bytes) -> bool {
    let cursor = || Cursor::new(bytes.as_ref());
    match file_type {
        FileType::Gif => GifDecoder::new(cursor()).is_ok_and(|mut decoder| {
            // A frame can be larger than its screen.
            decoder.set_limits(limits()).is_err() || decoder.into_frames().nth(1).is_some()
        }),
        FileType::Webp => WebPDecoder::new(cursor()).is_ok_and(|decoder| decoder.has_animation()),
        FileType::Png | FileType::Jpeg | FileType::Pdf => false,
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_ALLOC);
    limits
}

fn format(file_type: FileType) -> Option<ImageFormat> {
    match file_type {
        FileType::Png => Some(ImageFormat::Png),
        FileType::Jpeg => Some(ImageFormat::Jpeg),
        FileType::Gif => Some(ImageFormat::Gif),
        FileType::Webp => Some(ImageFormat::WebP),
        FileType::Pdf => None,
    }
}

/// Estimates the tokens of an image: a 750th of its pixels, about 1,600 at most (Anthropic, "Vision").
fn tokens(width: u32, height: u32) -> u64 {
    (u64::from(width) * u64::from(height) / 750).clamp(100, 1_600)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(image: &DynamicImage, format: ImageFormat) -> Bytes {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner().into()
    }

    fn size(file: &FileBytes) -> (u32, u32) {
        image::load_from_memory(file.bytes()).map(|image| (image.width(), image.height())).unwrap()
    }

    #[test]
    fn an_image_that_fits_is_shown_as_it_is() {
        for (file_type, format) in [
            (FileType::Png, ImageFormat::Png),
            (FileType::Jpeg, ImageFormat::Jpeg),
            (FileType::Gif, ImageFormat::Gif),
            (FileType::Webp, ImageFormat::WebP),
        ] {
            let bytes = bytes_of(&DynamicImage::new_rgb8(40, 30), format);
            let shown = fit(file_type, &bytes).unwrap();
            assert_eq!((shown.file_type, shown.bytes()), (file_type, &bytes));
        }
    }

    #[test]
    fn a_large_image_is_scaled_down_and_keeps_its_transparency() {
        let opaque = bytes_of(&DynamicImage::new_rgb8(3_000, 1_500), ImageFormat::Png);
        let shown = fit(FileType::Png, &opaque).unwrap();
        assert_eq!((shown.file_type, size(&shown)), (FileType::Jpeg, (2_000, 1_000)));
        let transparent = bytes_of(&DynamicImage::new_rgba8(1_000, 2_500), ImageFormat::Png);
        let shown = fit(FileType::Png, &transparent).unwrap();
        assert_eq!((shown.file_type, size(&shown)), (FileType::Png, (800, 2_000)));
    }

    /// An image that does not compress to nothing.
    fn noise() -> DynamicImage {
        DynamicImage::ImageRgb8(image::RgbImage::from_fn(120, 80, |x, y| {
            let hash = (x * 7919 + y * 104_729).wrapping_mul(x + y + 1).wrapping_mul(2_654_435_761);
            let [_, red, green, blue] = hash.to_le_bytes();
            image::Rgb([red, green, blue])
        }))
    }

    #[test]
    fn an_image_that_is_cut_anywhere_is_not_shown() {
        for (file_type, format) in [
            (FileType::Png, ImageFormat::Png),
            (FileType::Jpeg, ImageFormat::Jpeg),
            (FileType::Gif, ImageFormat::Gif),
            (FileType::Webp, ImageFormat::WebP),
        ] {
            let whole = bytes_of(&noise(), format);
            assert!(fit(file_type, &whole).is_some(), "{file_type:?}");
            let length = whole.len();
            for end in [12, length / 4, length / 2, length - length / 10, length - 13, length - 2, length - 1]
            {
                let shown = fit(file_type, &whole.slice(..end));
                // The frame of a GIF can be complete without the end of the file. It is then encoded again.
                let is_again = shown.as_ref().is_some_and(|shown| shown.file_type != FileType::Gif);
                let is_last = file_type == FileType::Gif && end >= length - 2 && is_again;
                assert!(shown.is_none() || is_last, "{file_type:?} cut at {end} of {length}: {shown:?}");
            }
        }
    }

    #[test]
    fn an_image_with_damaged_pixels_and_a_whole_end_is_not_shown() {
        let mut bytes = bytes_of(&noise(), ImageFormat::Png).to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        assert!(fit(FileType::Png, &bytes.into()).is_none());
    }

    #[test]
    fn of_an_animation_the_first_frame_is_shown() {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        let frame = || image::Frame::new(noise().into_rgba8());
        encoder.encode_frames([frame(), frame()]).unwrap();
        drop(encoder);
        let shown = fit(FileType::Gif, &bytes.into()).unwrap();
        assert_eq!((shown.file_type, size(&shown)), (FileType::Png, (120, 80)));
    }

    #[test]
    fn an_image_with_too_many_pixels_is_not_decoded() {
        // The header of an image of 60,000 by 60,000 pixels, without any.
        let mut bomb = bytes_of(&DynamicImage::new_rgb8(1, 1), ImageFormat::Gif).to_vec();
        bomb[6..10].copy_from_slice(&[0x60, 0xea, 0x60, 0xea]);
        assert!(fit(FileType::Gif, &bomb.into()).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_damaged_image_is_no_panic(at in 0_usize..4_000, byte: u8, end in 0_usize..4_000) {
            let large = DynamicImage::new_rgb8(2_100, 3);
            for (file_type, format) in [(FileType::Png, ImageFormat::Png), (FileType::Jpeg, ImageFormat::Jpeg),
                (FileType::Gif, ImageFormat::Gif), (FileType::Webp, ImageFormat::WebP)] {
                let mut bytes = bytes_of(&large, format).to_vec();
                let length = bytes.len();
                bytes[at % length] = byte;
                let _ = fit(file_type, &bytes.clone().into());
                bytes.truncate(end % length);
                let _ = fit(file_type, &bytes.into());
            }
        }
    }
}
