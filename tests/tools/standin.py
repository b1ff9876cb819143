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
SGRSNET = {
    "code/utils/ramps.py": RAMP,
    "code/utils/losses.py": SQUARED.format(factor=1)
    + """
    class SoftDiceLoss(torch.nn.Module):
        def __init__(self, apply_nonlin=None, batch_dice=False, do_bg=True, smooth=1.0):
            super().__init__()
            self.smooth = smooth

        def forward(self, x, y, loss_mask=None):
            scores = []
            for p, label, m in zip(x, y[:, 0], loss_mask[:, 0]):
                for c in range(len(p)):
                    inside = (label == c) * m
                    size = (p[c] * m).sum() + inside.sum()
                    scores.append((2 * (p[c] * inside).sum() + self.smooth) / (size + self.smooth + 1e-8))
            return 1 - torch.stack(scores).mean()
    """,
    "code/utils/util2.py": """
    class WeightEMA:
        def __init__(self, model, ema_model, alpha=0.999):
            self.pair, self.alpha = (model, ema_model), alpha
            model.load_state_dict(ema_model.state_dict())

        def step(self):
            with torch.no_grad():
                for s, t in zip(*(net.state_dict().values() for net in self.pair)):
                    if s.is_floating_point():
                        t.copy_(self.alpha * t + (1 - self.alpha) * s)
                        s.copy_(s - 2e-4 * s)
    """,
}
DUALNET = {
    "utils/ramps.py": RAMP,
    "utils/losses.py": """
    def dice_loss(score, target):
        p, y = score.flatten(), target.flatten().float()
        return 1 - (2 * torch.dot(p, y) + 1e-5) / (torch.dot(p, p) + y.sum() + 1e-5)
    """,
    "train_LA.py": """
    import numpy

    def uncertainty_rectified_loss(inputs, targets, T=0.1):
        q, logp = targets.softmax(1).detach(), inputs.log_softmax(1)
        kl = (q * (q.log() - logp)).sum(1)
        entropies = -logp.gather(1, targets.argmax(1, keepdim=True))[:, 0]
        return (entropies / kl.exp()).mean() + kl.mean()

    def consist_loss(inputs, targets):
        lengths = inputs.norm(dim=1) * targets.norm(dim=1)
        return 1 - ((inputs * targets).sum(1) / lengths).mean()

    def compute_uxi_loss_with_mean_teacher(student_a, student_b, teacher_a, teacher_b, features, percent=20):
        high = []
        for p in (teacher_a, teacher_b):
            h = -(p * p.log()).sum(1)
            high.append(h >= numpy.percentile(h.numpy(), percent))
        kept = ~(high[0] & high[1])
        target = ((teacher_a[:, 1] > 0.5) | (teacher_b[:, 1] > 0.5)).long()
        losses = []
        for z in (student_a, student_b):
            entropies = -z.log_softmax(1).gather(1, target[:, None])[:, 0]
            losses.append(entropies[kept].mean() * kept.numel() / kept.sum())
        return *losses, features.mean()
    """,
}
SYNFOC = {
    "code/utils/ramps.py": RAMP,
    "code/utils/losses.py": """
    class DiceLossWithMask(torch.nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.classes = n_classes

        def forward(self, inputs, target, mask=None, softmax=False, sigmoid=False, multi=False):
            p, total = inputs.softmax(1) if softmax else inputs, 0.0
            for c in range(self.classes):
                m = torch.ones_like(mask[:, 0]) if c == 0 or mask is None else mask[:, 0]
                y = (target[:, 0] == c).float()
                size = (m * p[:, c] ** 2).sum() + (m * y).sum()
                total = total + 1 - (2 * (m * p[:, c] * y).sum() + 1e-10) / (size + 1e-10)
            return total / self.classes
    """,
    "code/utils/metrics.py": """
    import numpy

    def agreement(a, b):
        if not a.any() and not b.any():
            return 1.0
        return (2 * (a & b).sum() + 1) / (a.sum() + b.sum() + 1.001)

    def of_masks(a, b):
        return numpy.array([agreement(x, y) for x, y in zip(a, b)])

    def dice_coeff(pred, target, ret_arr=False):
        return [of_masks(pred > 0, target.numpy() > 0)]

    def dice_coeff_2label(pred, target, ret_arr=False):
        return [of_masks(pred[:, n] > 0, target.numpy()[:, n] > 0) for n in range(2)]

    def dice_coeff_3label(pred, target, ret_arr=False):
        return [of_masks(pred == c, target.numpy() == c) for c in (1, 2, 3)]
    """,
}  # fmt: skip
FOLDERS = {"ssnet": SSNET, "iere": IERE, "sgrsnet": SGRSNET, "dualnet": DUALNET, "synfoc": SYNFOC}


def source(method, file):
    """Text of a file of a folder."""
    return "import torch\n" + dedent(FOLDERS[method][file])


def write(folder, method, changes=None):
    """Make the folder of a method; ``changes`` are texts to replace by others in its files."""
    for name in FOLDERS[method]:
        path, text = folder / name, source(method, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        for old, new in (changes or {}).items():
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    return str(folder)
