/* SPDX-License-Identifier: MIT */
/*
 * local.c: a program that loads libhbakit for itself alone, as Python does, may load plug-ins.
 * `test-plugin-local LIBRARY PLUGIN`
 */
#include <dlfcn.h>
#include <hbakit/driver.h>
#include <hbakit/hbakit.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const struct hba_driver *driver;
	__typeof__(hba_driver_unload) *unload;
	__typeof__(hba_driver_load) *load;
	__typeof__(hba_error) *error;
	void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;

	if (!library) {
		fprintf(stderr, "test-plugin-local: %s\n",
			argc == 3 ? dlerror() : "LIBRARY PLUGIN");
		return 2;
	}
	load = (__typeof__(load))dlsym(library, "hba_driver_load");
	unload = (__typeof__(unload))dlsym(library, "hba_driver_unload");
	error = (__typeof__(error))dlsym(library, "hba_error");
	if (load(argv[2], &driver) < 0) {
		fprintf(stderr, "test-plugin-local: %s\n", error());
		return 1;
	}
	unload(driver);
	return dlclose(library);
}
