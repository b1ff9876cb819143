import torch

from common.sam import decode, embed_boxes
from common.sam._load import modeling
from tools.benchmark.references import decode_one_image


def test_many_images_equal_the_package_image_by_image(sam):
    assert isinstance(sam.mask_decoder, modeling().MaskDecoder)
    embeddings = sam.encode(torch.randn(3, 3, 64, 64))
    boxes = torch.tensor([[1.0, 2, 30, 40], [5, 5, 60, 50], [0, 0, 63, 63], [20, 10, 22, 13], [7, 8, 40, 41]])
    index = torch.tensor([0, 0, 1, 2, 2])
    logits, iou = decode(sam, embeddings, embed_boxes(sam, boxes), index)
    assert logits.shape == (5, 4, 16, 16)
    for image in range(3):
        for token, multimask in ((slice(0, 1), False), (slice(1, None), True)):
            expected, quality = decode_one_image(sam, embeddings[image], boxes[index == image], multimask)
            torch.testing.assert_close(logits[index == image][:, token], expected, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(iou[index == image][:, token], quality, atol=1e-5, rtol=1e-5)


def test_chunks_change_nothing(sam):
    embeddings, index = sam.encode(torch.randn(2, 3, 64, 64)), torch.tensor([0, 1, 1, 0, 1])
    sparse = embed_boxes(sam, torch.rand(5, 4).cumsum(1) * 15)
    whole, parts = decode(sam, embeddings, sparse, index), decode(sam, embeddings, sparse, index, chunk=2)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_first_tokens_alone_are_the_first_of_all(sam):
    embeddings, sparse = sam.encode(torch.randn(3, 3, 64, 64)), embed_boxes(sam, torch.rand(3, 4).cumsum(1) * 15)
    for one, all_ in zip(decode(sam, embeddings, sparse, chunk=2, tokens=1), decode(sam, embeddings, sparse)):
        assert one.shape[1] == 1
        torch.testing.assert_close(one, all_[:, :1], atol=1e-5, rtol=1e-5)


def test_without_prompts_a_batch_equals_its_images(sam):
    embeddings = sam.encode(torch.randn(3, 3, 64, 64))
    nothing = embeddings.new_zeros(3, 0, 32)
    batch, _ = decode(sam, embeddings, nothing)
    for image in range(3):
        alone, _ = decode(sam, embeddings[image : image + 1], nothing[:1])
        torch.testing.assert_close(batch[image : image + 1], alone, atol=1e-5, rtol=1e-5)
        masks, _ = sam.mask_decoder.predict_masks(
            embeddings[image : image + 1],
            sam.prompt_encoder.get_dense_pe(),
            torch.zeros(1, 0, 32),
            sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand(1, -1, 4, 4),
        )
        torch.testing.assert_close(alone, masks, atol=1e-5, rtol=1e-5)


def test_prompts_keep_full_precision_under_autocast(sam):
    boxes = torch.tensor([[3.0, 7.0, 40.0, 50.0]])
    with torch.autocast("cpu", torch.bfloat16):
        embedded = embed_boxes(sam, boxes)
    assert embedded.dtype == torch.float32
    assert torch.equal(embedded, embed_boxes(sam, boxes))
    assert sam.image_pe.dtype == torch.float32
