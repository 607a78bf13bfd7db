"""Reports of reconstructions: measures, meshes, DICOM files and an HTML page."""
