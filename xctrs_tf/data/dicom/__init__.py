"""DICOM files as films and CTs share them: parsed in bounded time, numbers, compressed pixels."""
