//! Against real name servers and scripted doors.
