/* The all-reduce that bench/allreduce.mjs compares with: MPI called from C, whole buffers at once. Prints a JSON line a
 * size. Open MPI's headers are not needed: what is used of them is declared here. */
#include <stdio.h>
#include <stdlib.h>

extern char ompi_mpi_comm_world[], ompi_mpi_float[], ompi_mpi_op_sum[];
int MPI_Init(int *, char ***);
int MPI_Comm_rank(void *, int *);
int MPI_Comm_size(void *, int *);
int MPI_Barrier(void *);
int MPI_Allreduce(const void *, void *, int, void *, void *, void *);
int MPI_Finalize(void);
double MPI_Wtime(void);

/* Arguments: repetitions, then numbers of floats. */
int main(int argc, char **argv) {
  MPI_Init(NULL, NULL);
  int rank;
  MPI_Comm_rank(ompi_mpi_comm_world, &rank);
  for (int i = 2; i < argc; i++) {
    int count = atoi(argv[i]);
    float *values = malloc(sizeof(float) * count);
    for (int j = 0; j < count; j++) values[j] = 0;
    double best = 1e9;
    for (int j = 0; j < atoi(argv[1]); j++) {
      MPI_Barrier(ompi_mpi_comm_world);
      double start = MPI_Wtime();
      MPI_Allreduce((void *)1, values, count, ompi_mpi_float, ompi_mpi_op_sum, ompi_mpi_comm_world);
      MPI_Barrier(ompi_mpi_comm_world);
      double seconds = MPI_Wtime() - start;
      if (seconds < best) best = seconds;
    }
    if (rank == 0) printf("{\"count\":%d,\"seconds\":%g}\n", count, best);
    free(values);
  }
  MPI_Finalize();
  return 0;
}
