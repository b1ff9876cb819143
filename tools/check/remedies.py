"""What to do about each kind of finding."""

from __future__ import annotations

REMEDIES = {
    "unreadable": "fetch or unpack the file again, or take the case out of the folder or the lists",
    "not finite": "write the value of the background into these voxels, or take the case out",
    "no numbers": "save real numbers, of a complex image its magnitude",
    "constant": "take the case out of the folder or the lists",
    "geometry": "if both headers are right, --label_grid resample in training; if the label's is wrong, "
    "python -m tools prepare folder gives it the grid of its image",
    "rounding": "nothing: training tolerates it",
    "lone value": "correct the label; a class of its own that only one patient shows: python -m tools prepare folder "
    "numbers it among the classes",
    "label values": "python -m tools prepare folder numbers the classes; --classes says how many there are",
    "no label map": "save the label again without smoothing, compression or interpolation; with whole numbers",
    "coded masks": "nothing: plan numbers the classes, and segmentations hold these values again; without a plan "
    "--encoding binary takes 0 and 255",
    "empty label": "right if the structure is not there; else list the case as unlabeled until it is labeled",
    "class absent": "look at the contact sheet; list the case as unlabeled if the label is not complete",
    "dimensions": "keep images of one kind: take the case out, or make a data set of its own of such images",
    "spacing": "--spacing resamples all images to one voxel size",
    "intensities": "--normalize true, for CT --window; check that the units are those of the others",
    "leak": "put all images of a patient into one list: name them with --group, and python -m tools prepare folder "
    "--splits redraw draws new lists",
    "copy": "keep one of both",
    "alike": "plan takes them for one patient; --group says otherwise",
    "incomplete": "add the file, or take what is alone out of the folder or the list",
    "unlike labeled": "--contrast 0.3 varies intensities in training where a method has it, --normalize true puts "
    "them on one scale, --spacing one size of voxels; labels of such images help most",
}
