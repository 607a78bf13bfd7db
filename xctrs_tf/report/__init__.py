"""What a person is shown of a reconstruction: measures, checks, meshes, DICOM and a page."""
