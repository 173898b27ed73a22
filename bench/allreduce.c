/* The all-reduce that bench/allreduce.mjs compares with: MPI called from C, on whole buffers and on the pieces that
 * Collective cuts them in. Prints a JSON line a size. Open MPI's headers are not needed: what is used of them is declared
 * here. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

extern char ompi_mpi_comm_world[], ompi_mpi_float[], ompi_mpi_op_sum[];
int MPI_Init(int *, char ***);
int MPI_Comm_rank(void *, int *);
int MPI_Comm_size(void *, int *);
int MPI_Barrier(void *);
int MPI_Allreduce(const void *, void *, int, void *, void *, void *);
int MPI_Finalize(void);
double MPI_Wtime(void);

static double all_reduce(float *values, int count, int piece) {
  MPI_Barrier(ompi_mpi_comm_world);
  double start = MPI_Wtime();
  for (int at = 0; at < count; at += piece)
    MPI_Allreduce((void *)1, values + at, count - at < piece ? count - at : piece, ompi_mpi_float, ompi_mpi_op_sum,
                  ompi_mpi_comm_world);
  return MPI_Wtime() - start;
}

/* Arguments: floats of a piece, floats to sum in all repetitions, then numbers of floats. */
int main(int argc, char **argv) {
  MPI_Init(NULL, NULL);
  int rank;
  MPI_Comm_rank(ompi_mpi_comm_world, &rank);
  for (int i = 3; i < argc; i++) {
    int count = atoi(argv[i]);
    /* In large pages, as training's memory is. */
    float *values = aligned_alloc(1 << 21, sizeof(float) * count);
    madvise(values, sizeof(float) * count, MADV_HUGEPAGE);
    for (int j = 0; j < count; j++) values[j] = 0;
    double whole = 1e9, pieces = 1e9;
    for (int j = 0; j < atoi(argv[2]) / count; j++) {
      double seconds = all_reduce(values, count, count);
      if (seconds < whole) whole = seconds;
      seconds = all_reduce(values, count, atoi(argv[1]));
      if (seconds < pieces) pieces = seconds;
    }
    if (rank == 0) printf("{\"whole\":%g,\"pieces\":%g}\n", whole, pieces);
    free(values);
  }
  MPI_Finalize();
  return 0;
}
