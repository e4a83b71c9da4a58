// Module FuseServer.
