// Package e2e runs real guests with the berth binary and asserts what a user
// would notice. It needs root, systemd-nspawn and a Debian mirror or a cached
// image, takes minutes, and is built only with the tag e2e:
//
//	go test -tags e2e -count=1 ./test/e2e
//
// It is the same suite for every supervisor and host; the environment says
// what it is run on:
//
//	BERTH_TEST_BIN    the berth to test; built from this module by default
//	BERTH_TEST_TINYINIT  test/e2e/tinyinit, for hosts without Go; built by default
//	BERTH_TEST_EXAMPLES  the directory examples; that of this module by default
//	BERTH_TEST_DIR    where the test's directory is made; default /var/tmp
//	BERTH_TEST_CACHE  where the Debian image is kept; default /var/cache/berth-test
//	BERTH_TEST_ONLY_CACHE  not empty: make what is kept there, and run no test
//	BERTH_TEST_SEED   the seed of TestKill; random by default
//	BERTH_TEST_KILLS  how many times TestKill kills; default 300
package e2e
