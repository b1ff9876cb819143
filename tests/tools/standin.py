"""Folders in the layout of the published repositories, with functions of the same names and signatures in own words.

They are no published code and prove nothing about it: with them the way to call it is tested.
"""

from textwrap import dedent

RAMP = """
    import math

    def sigmoid_rampup(current, rampup_length):
        left = max(0.0, 1 - current / rampup_length)
        return math.exp(-5 * left * left)
"""
SQUARED = """
    class DiceLoss(torch.nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.classes = n_classes

        def forward(self, inputs, target):
            total = 0.0
            for c in range(self.classes):
                p, y = inputs[:, c].flatten(), (target[:, 0] == c).float().flatten()
                total = total + 1 - {factor} * torch.dot(p, y) / (torch.dot(p, p) + y.sum() + 1e-10)
            return total / self.classes
"""
TUPLE = """
    from common.networks import {kind} as Ours

    class {name}(Ours):
        def __init__(self, {arguments}):
            super().__init__({given})

        def forward(self, x):
            return self.forward_features(x, True)
"""
WINDOWS = """
    import numpy, torch
    from itertools import product

    def test_single_case(model, image, stride_xy, stride_z, patch_size, num_classes=1):
        missing = [max(p - s, 0) for p, s in zip(patch_size, image.shape)]
        before = [m // 2 for m in missing]
        padded = numpy.pad(image, [(b, m - b) for b, m in zip(before, missing)])
        starts = []
        for size, patch, stride in zip(padded.shape, patch_size, (stride_xy, stride_xy, stride_z)):
            starts.append(sorted({min(n, size - patch) for n in range(0, size - patch + stride, stride)}))
        total, count = numpy.zeros(padded.shape, numpy.float32), numpy.zeros(padded.shape, numpy.float32)
        for place in product(*starts):
            where = tuple(slice(a, a + p) for a, p in zip(place, patch_size))
            with torch.no_grad():
                p = model(torch.from_numpy(padded[where])[None, None].cuda())[0].softmax(1)
            total[where] += p[0, 1].cpu().numpy()
            count[where] += 1
        kept = tuple(slice(b, b + s) for b, s in zip(before, image.shape))
        score = (total / count)[kept][None]
        return (score[0] > 0.5).astype(numpy.int), score
"""
SSNET = {
    "code/utils/ramps.py": RAMP,
    "code/utils/losses.py": """
    import copy, torch

    def Binary_dice_loss(predictive, target, ep=1e-8):
        p, y = predictive.flatten(), target.flatten().float()
        return 1 - (2 * torch.dot(p, y) + ep) / (p.sum() + y.sum() + ep)
    """ + SQUARED.format(factor=2) + """
    class VAT3d(torch.nn.Module):
        def __init__(self, xi=10.0, epi=6.0, ip=1):
            super().__init__()
            self.xi, self.epi = xi, epi

        def apart(self, p, q):
            return Binary_dice_loss(p, q)

        def forward(self, model, x):
            def unit(d):
                return d / (d.flatten(1).norm(dim=1).view(-1, *[1] * (d.dim() - 1)) + 1e-8)

            still = copy.deepcopy(model)
            clean = model(x)[0].softmax(1).detach()
            d = unit(torch.rand(x.shape) - 0.5).requires_grad_()
            (slope,) = torch.autograd.grad(self.apart(still(x + self.xi * d)[0].softmax(1), clean), d)
            return self.apart(model(x + self.epi * unit(slope))[0].softmax(1), clean)

    class VAT2d(VAT3d):
        def apart(self, p, q):
            losses = [1 - (2 * (a * b).sum() + 1e-10) / ((a * a).sum() + (b * b).sum() + 1e-10)
                      for a, b in zip(p.unbind(1), q.unbind(1))]
            return sum(losses) / len(losses)
    """,
    "code/utils/contrastive_losses.py": """
    import torch
    from torch.nn.functional import normalize

    def contrastive_class_to_class_learned_memory(model, features, class_labels, num_classes, memory):
        total = 0.0
        for c in range(num_classes):
            own = features[class_labels == c]
            if memory[c] is None or len(own) < 2:
                continue
            score = getattr(model, f"contrastive_class_selector_{c}")(own.detach()).sigmoid()
            apart = 1 - normalize(own) @ normalize(torch.from_numpy(memory[c])).T
            total = total + (apart * score * len(own) / score.sum()).mean()
        return total / num_classes
    """,
    "code/networks/VNet.py": TUPLE.format(
        kind="VNet",
        name="VNet",
        arguments="n_channels, n_classes, n_filters=16, normalization='none', has_dropout=False",
        given="n_channels, n_classes, n_filters",
    ),
    "code/networks/unet.py": TUPLE.format(
        kind="UNet2D", name="UNet", arguments="in_chns, class_num", given="in_chns, class_num"),
    "code/utils/test_3d_patch.py": WINDOWS + """
    def getLargestCC(segmentation):
        from scipy.ndimage import label
        places, _ = label(segmentation, numpy.ones((3, 3, 3)))
        return places == numpy.bincount(places.flat)[1:].argmax() + 1

    def calculate_metric_percase(pred, gt):
        from medpy.metric import binary
        return binary.dc(pred, gt), binary.jc(pred, gt), binary.hd95(pred, gt), binary.asd(pred, gt)
    """,
}  # fmt: skip
IERE = {
    "utils/__init__.py": "",
    "utils/utils.py": """
    import numpy, torch
    from torch.nn.functional import cross_entropy, one_hot

    def mix_loss(net3_output, img_l, patch_l, mask, l_weight=1.0, u_weight=0.5, unlab=False):
        total, p = 0.0, net3_output.softmax(1)
        for where, label, weight in ((mask, img_l, l_weight), (1 - mask, patch_l, u_weight)):
            y = one_hot(label, 2).movedim(-1, 1)
            both, size = ((where[:, None] * x).flatten(2).sum(2) for x in (p * y, p + y))
            entropies = cross_entropy(net3_output, label, reduction="none") * where
            dice = 1 - ((2 * both + 1e-5) / (size + 1e-5)).mean()
            total = total + weight * (dice + entropies.sum() / (where.sum() + 1e-16))
        return total / 2

    def context_mask(img, mask_ratio):
        side = int(img.shape[2] * mask_ratio)
        y, x = numpy.random.randint(0, 224 - side, 2)
        mask = torch.ones(img.shape[2:]).cuda().long()
        mask[y : y + side, x : x + side] = 0
        return mask, mask.repeat(len(img), 1, 1)

    def mask2box(mask):
        rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
        return [columns[0], rows[0], max(1, columns[-1] - columns[0]), max(1, rows[-1] - rows[0] + OFFSET)]
    OFFSET = 0
    """,
    "utils/sampler.py": "import a_module_that_nobody_has\n",
    "segmentation_models_pytorch/losses/jaccard.py": "class Other:\n    pass\n",
}
FOLDERS = {"ssnet": SSNET, "iere": IERE}


def write(folder, method, changes=None):
    """Make the folder of a method; ``changes`` are texts to replace by others in its files."""
    for name, text in FOLDERS[method].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for old, new in (changes or {}).items():
            text = text.replace(old, new)
        path.write_text("import torch\n" + dedent(text), encoding="utf-8")
    return str(folder)
