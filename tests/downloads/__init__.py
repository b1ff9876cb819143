"""Small copies of the published data sets in the form of their downloads: names, folders, types, codes and geometry."""

from . import pictures, sites, volumes

WRITERS = {
    "la2018": volumes.left_atria,
    "la2018_h5": volumes.left_atria_h5,
    "pancreas": volumes.pancreas,
    "pancreas_nifti": volumes.pancreas_nifti,
    "pancreas_h5": volumes.pancreas_h5,
    "brats2019": volumes.brats,
    "brats2019_h5": volumes.brats_h5,
    "acdc": volumes.acdc,
    "acdc_h5": volumes.acdc_h5,
    "nci_isbi2013": sites.nci_isbi,
    "mnms": sites.mnms,
    "mscmr": sites.mscmr,
    "mscmr_folders": sites.mscmr_folders,
    "prostate": pictures.prostate,
    "fundus": pictures.fundus,
    "mnms_slices": pictures.mnms_slices,
    "busi": pictures.busi,
}
